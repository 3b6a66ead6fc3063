"""An S3 that misbehaves: the embedded engine's own store, which enforces checksums, part sizes and conditions, behind
a door where replies can be refused, delayed or lost.

Knows which S3 operation a request is. Refuses to know who calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from xml.sax.saxutils import escape

from local.http import BadRequestError, Request, Response, Server
from local.s3_api import S3

ALWAYS = 1_000_000
BUCKET = "landing"

# What is done with a request: given the real operation to call, or not. None closes the connection without a word.
Act = Callable[[Callable[[], Response]], Response | None]


def operation_of(request: Request) -> str:
    """create, part-N, complete, abort, list-uploads, list-parts, put, tag, head, get or another."""
    query = dict(item.partition("=")[::2] for item in request.query.split("&"))
    if "uploads" in query:
        return "create" if request.method == "POST" else "list-uploads"
    if "uploadId" in query:
        kinds = {"PUT": f"part-{query.get('partNumber')}", "POST": "complete", "DELETE": "abort", "GET": "list-parts"}
        return kinds[request.method]
    if "tagging" in query:
        return "tag"
    return request.method.lower()


def refuse(status: int, code: str) -> Act:
    body = f"<?xml version='1.0'?><Error><Code>{escape(code)}</Code><Message>planted</Message></Error>".encode()
    return lambda real: Response(status, [("Content-Type", "application/xml")], body)


def lose_reply(real: Callable[[], Response]) -> None:
    """S3 acts, and its answer never arrives."""
    real()


def hang_up(real: Callable[[], Response]) -> None:
    """The connection ends before S3 acts."""


def after(other: Callable[[], object], then: Act | None = None) -> Act:
    """Something else happens first."""

    def act(real: Callable[[], Response]) -> Response | None:
        other()
        return then(real) if then else real()

    return act


@dataclass
class Fault:
    """`act` on the first `times` requests of `operation`."""

    operation: str
    act: Act
    times: int = 1


@dataclass
class Store:
    """A context manager: the store on a port. `faults` apply in order; `calls` names every operation that came."""

    landed: Path
    faults: list[Fault] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def __enter__(self) -> Store:
        self._lock = threading.Lock()
        self.s3 = S3(self.landed)
        self.s3.store.create_bucket(BUCKET)
        self._server = Server(self._handle)
        self.released = threading.Event()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.released.set()
        self._server.close()
        self.s3.close()

    @property
    def url(self) -> str:
        return self._server.url

    def stall(self, real: Callable[[], Response]) -> None:
        """No answer until the test is over: the caller's timeout ends the wait."""
        self.released.wait(30)

    def object(self, key: str) -> bytes | None:
        path = self.landed / BUCKET / key
        return path.read_bytes() if path.is_file() else None

    def _handle(self, request: Request) -> Response:
        operation = operation_of(request)
        with self._lock:
            self.calls.append(operation)
            fault = next((each for each in self.faults if each.operation == operation and each.times > 0), None)
            if fault is not None:
                fault.times -= 1
        if fault is None:
            return self.s3(request)
        response = fault.act(lambda: self.s3(request))
        if response is None:
            raise BadRequestError("planted: no reply")
        return response


def unfinished(s3: Any) -> list[str]:
    """The keys of unfinished uploads, asked of S3."""
    return [each["Key"] for each in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]
