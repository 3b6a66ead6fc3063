"""Invokes functions of the deployment without waiting for their answers.

Knows that Lambda keeps such an invocation and tries it again when it fails. Refuses to know why one is wanted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Functions:
    """`client` is a botocore client for `lambda`."""

    client: Any

    def invoke_later(self, name: str, event: Mapping[str, Any]) -> None:
        """At least once, soon. Raises ClientError."""
        self.client.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode())
