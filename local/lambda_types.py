"""What passes between callers of functions and the processes that run them."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

# Where the engine serves function URLs: this, the folder of the handler, and what the caller adds.
FUNCTION_URLS = "/function-urls/"
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024  # Lambda quotas: synchronous invocation, request and response each


@dataclass(frozen=True, slots=True)
class Function:
    """As in the template. `code` is the folder that Lambda would call the task root."""

    name: str
    arn: str
    handler: str
    memory_mb: int
    timeout_seconds: float
    environment: Mapping[str, str]
    code: Path


@dataclass(frozen=True, slots=True)
class Result:
    """`error_type` None on success; otherwise `payload` is Lambda's error document."""

    payload: bytes
    error_type: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What Lambda's REPORT line says. `outcome` is "ok" or the error's type; `init_ms` None on a warm start."""

    function: str
    request_id: str
    duration_ms: float
    memory_mb: int
    max_memory_mb: float
    outcome: str
    init_ms: float | None = None

    def line(self) -> str:
        init = f"\tInit Duration: {self.init_ms:.2f} ms" if self.init_ms is not None else ""
        status = "" if self.outcome == "ok" else f"\tStatus: error\tError Type: {self.outcome}"
        return (
            f"REPORT RequestId: {self.request_id}\tDuration: {self.duration_ms:.2f} ms\tMemory Size: "
            f"{self.memory_mb} MB\tMax Memory Used: {self.max_memory_mb:.0f} MB{init}{status}"
        )


@dataclass(slots=True, eq=False)
class Invocation:
    """One request on its way. `owner` names the execution it belongs to. `started` is set when a process took it,
    or when it ended before one did."""

    payload: bytes
    owner: str = ""
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    result: Future[Result] = field(default_factory=Future)
    started: threading.Event = field(default_factory=threading.Event)
    started_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        self.started_at = time.monotonic()
        self.started.set()

    def end(self, result: Result) -> bool:
        """The first result counts; False for a later one."""
        with self.lock:
            if self.result.done():
                return False
            self.result.set_result(result)
        self.started.set()
        return True


def failure(error_type: str, message: str) -> Result:
    return Result(json.dumps({"errorType": error_type, "errorMessage": message}).encode(), error_type)


def posted_failure(document: bytes) -> Result:
    """A failure as the runtime client reported it."""
    try:
        error_type = str(json.loads(document)["errorType"])
    except (ValueError, KeyError, TypeError):
        error_type = "Runtime.Unknown"
    return Result(document, error_type)
