"""The AWS calls that functions make, for whoever wants to compare them with what their roles allow, or to answer one.

Knows who signed a request: each function's process has the name of its folder as access key id. Refuses to know
policies; moto enforces none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from local.http import Request, Response

_SIGNER = re.compile(r"Credential=([^/]*)/")


@dataclass(frozen=True, slots=True)
class Call:
    """`caller` is a function's folder, as `process_file`, or `local` for everybody else. `body` is empty for S3."""

    caller: str
    service: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""


# An answer takes the place of the service's.
OnCall = Callable[[Call], Response | None]


def principal(handler: str) -> str:
    """`process_file.handler.handler` -> `process_file`."""
    return handler.partition(".")[0]


def signer_of(request: Request) -> str:
    """The access key id in the signature's header; "" where there is none."""
    match = _SIGNER.search(request.headers.get("authorization", ""))
    return match.group(1) if match else ""


def call_of(request: Request, service: str, body: bytes = b"") -> Call:
    return Call(signer_of(request), service, request.method, request.path, request.query, request.headers, body)
