"""Answers the task token that a job was started with, so that the workflow waiting on it goes on.

Knows the two answers of Step Functions and that a token is answered once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

# SendTaskFailure cuts neither for us: longer values are an error (API reference of Step Functions).
ERROR_CHARS = 256
CAUSE_CHARS = 32768
# What a token answers that was answered before, or whose task has ended without us.
ANSWERED = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})


@dataclass(frozen=True, slots=True)
class TaskTokens:
    """`client` is a botocore client for `stepfunctions`."""

    client: Any

    def succeed(self, token: str, output: Mapping[str, Any]) -> None:
        self._send(self.client.send_task_success, taskToken=token, output=json.dumps(output))

    def fail(self, token: str, error: str, cause: str) -> None:
        self._send(self.client.send_task_failure, taskToken=token, error=error[:ERROR_CHARS], cause=cause[:CAUSE_CHARS])

    def _send(self, call: Any, **arguments: str) -> None:
        try:
            call(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ANSWERED:
                raise
