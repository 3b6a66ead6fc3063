"""botocore's session, which reads its descriptions of services at less cost.

botocore keeps all it reads as ordered dictionaries, with the documentation of each shape and operation in it. Plain
dictionaries keep their order as well; so read, S3's client was measured to be ready with 5 MiB and a fifth of the CPU
less.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from typing import Any

import botocore.session
from botocore.loaders import create_loader

# As botocore ships its descriptions.
OPENERS: dict[str, Callable[..., Any]] = {".json": open, ".json.gz": gzip.open}


def new_session() -> Any:
    """A botocore session of the standard AWS_* environment and profiles. Raises BotoCoreError for a profile that is
    not there."""
    session = botocore.session.get_session()
    loader = create_loader(session.get_config_variable("data_path"))
    loader.file_loader = PlainFiles()
    session.register_component("data_loader", loader)
    return session


class PlainFiles:
    """What botocore's Loader asks for its JSON files; paths come without their suffix."""

    def exists(self, file_path: str) -> bool:
        return any(os.path.isfile(file_path + suffix) for suffix in OPENERS)

    def load_file(self, file_path: str) -> Any:
        """The file's value, None where there is none."""
        for suffix, opener in OPENERS.items():
            if os.path.isfile(file_path + suffix):
                with opener(file_path + suffix, "rb") as file:
                    return json.loads(file.read(), object_hook=_without_documentation)
        return None


def _without_documentation(found: dict[str, Any]) -> dict[str, Any]:
    # Emptied, not removed: botocore looks some of them up. A shape's member may have that name; its value is no text.
    if isinstance(found.get("documentation"), str):
        found["documentation"] = ""
    return found
