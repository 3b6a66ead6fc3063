"""botocore's session, which reads its descriptions of services at less cost.

botocore keeps all it reads as ordered dictionaries, with the documentation of each shape and operation in it. Plain
dictionaries keep their order as well; so read, S3's client was measured to be ready with 5 MiB and a fifth of the CPU
less.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import botocore.session
from botocore.loaders import JSONFileLoader, create_loader


def new_session() -> Any:
    """A botocore session of the standard AWS_* environment and profiles. Raises BotoCoreError for a profile that is
    not there."""
    session = botocore.session.get_session()
    loader = create_loader(session.get_config_variable("data_path"))
    loader.file_loader = PlainFiles()
    session.register_component("data_loader", loader)
    return session


class PlainFiles(JSONFileLoader):
    """botocore's loader of JSON files, gzipped or not, without ordered dictionaries and documentation."""

    def _load_file(self, full_path: str, open_method: Callable[..., Any]) -> Any:
        # A private name of botocore; it is pinned, and the tests tell when this one is gone.
        if not os.path.isfile(full_path):
            return None
        with open_method(full_path, "rb") as file:
            return json.loads(file.read(), object_hook=_without_documentation)


def _without_documentation(found: dict[str, Any]) -> dict[str, Any]:
    # Emptied, not removed: botocore looks some of them up. A shape's member may have that name; its value is no text.
    if isinstance(found.get("documentation"), str):
        found["documentation"] = ""
    return found
