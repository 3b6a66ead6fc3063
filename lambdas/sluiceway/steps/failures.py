"""Why a job or a unit of work broke, in the words of those who saw it: Step Functions' Catch, or its status event.

Knows the shapes in which Step Functions and Lambda report an error. The text is cut and redacted, for nobody knows
what a foreign error quotes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluiceway.redact import redact_text

MESSAGE_CHARS = 4000


@dataclass(frozen=True, slots=True)
class Failure:
    """`type` is the name of an error, `message` a text for people."""

    type: str
    message: str

    @classmethod
    def of_states(cls, error: Mapping[str, Any]) -> Failure:
        """`{"Error", "Cause"}` of a Catch. The cause of a Lambda error is JSON with `errorMessage`."""
        cause = str(error.get("Cause") or "")
        try:
            parsed = json.loads(cause)
        except ValueError:
            parsed = None
        message = parsed["errorMessage"] if isinstance(parsed, dict) and "errorMessage" in parsed else cause
        return cls(str(error.get("Error") or "UnknownError"), redact_text(str(message))[:MESSAGE_CHARS])

    def to_dict(self) -> dict[str, str]:
        return {"type": self.type, "message": self.message}


@dataclass(frozen=True, slots=True)
class Ending:
    """How an execution came to CompleteJob: in the course of things, with a failure, or cancelled by somebody.
    `stopped_at` is when (seconds since 1970) it stopped, where that is known."""

    execution: str
    failure: Failure | None = None
    cancelled: bool = False
    stopped_at: float | None = None

    @classmethod
    def of_event(cls, event: Mapping[str, Any]) -> Ending:
        """From the workflow's own payload, or from the event `Step Functions Execution Status Change` (its detail is
        described in "Automating Step Functions event delivery with EventBridge")."""
        if "detail" not in event:
            error = event.get("error")
            return cls(event["execution"], Failure.of_states(error) if error else None)
        detail = event["detail"]
        status, execution = detail["status"], detail["executionArn"]
        stopped_at = detail["stopDate"] / 1000 if detail.get("stopDate") else None
        if status == "ABORTED":
            return cls(execution, cancelled=True, stopped_at=stopped_at)
        if status == "TIMED_OUT":
            return cls(execution, Failure("ExecutionTimedOut", "the execution ran out of time"), stopped_at=stopped_at)
        error = {"Error": detail.get("error") or "ExecutionFailed", "Cause": detail.get("cause")}
        return cls(execution, Failure.of_states(error), stopped_at=stopped_at)
