"""A real HTTP server on loopback for tests: well-behaved files, and the ways servers misbehave.

Knows paths, bodies and how to break a reply. Refuses to know what the client under test should make of it.
"""

from __future__ import annotations

import functools
import hashlib
import re
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

BLOCK = 64 * 1024


@dataclass(frozen=True)
class Body:
    """`size` bytes that depend on `seed` alone, made as they are read: a large body costs no memory."""

    size: int
    seed: int = 0

    def blocks(self) -> Iterator[bytes]:
        block = b"".join(hashlib.sha512(f"{self.seed}:{n}".encode()).digest() for n in range(BLOCK // 64))
        whole, rest = divmod(self.size, BLOCK)
        for _ in range(whole):
            yield block
        if rest:
            yield block[:rest]

    def read(self) -> bytes:
        return b"".join(self.blocks())

    def digest(self, algorithm: str = "sha256") -> str:
        if algorithm == "crc32":
            return f"{functools.reduce(lambda crc, block: zlib.crc32(block, crc), self.blocks(), 0):08x}"
        digest = hashlib.new(algorithm)
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()


@dataclass(frozen=True)
class Reply:
    """What a path answers. `length` is what Content-Length says when it should not say the truth, and with `chunked`
    there is none; `cut_after` closes the connection after so many bytes of body; `hold` is waited for before the second
    block."""

    body: Body | bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    cut_after: int | None = None
    hold: threading.Event | None = None
    chunked: bool = False

    @property
    def size(self) -> int:
        return self.body.size if isinstance(self.body, Body) else len(self.body)

    def blocks(self) -> Iterator[bytes]:
        if isinstance(self.body, Body):
            yield from self.body.blocks()
        elif self.body:
            yield self.body


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


Answer = Reply | Callable[[Request], Reply]


def one_after_the_other(*replies: Reply) -> Callable[[Request], Reply]:
    """Each request gets the next, and the last stays."""
    rest = list(replies)
    return lambda request: rest.pop(0) if len(rest) > 1 else rest[0]


def ranged(body: bytes, request: Request) -> Reply:
    """`body`, or the range of it that is asked for, by a server that gives it a strong validator."""
    headers = {"ETag": '"v1"'}
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if match is None:
        return Reply(body, headers=headers)
    start, end = int(match[1]), int(match[2]) + 1 if match[2] else len(body)
    return Reply(body[start:end], 206, headers | {"Content-Range": f"bytes {start}-{end - 1}/{len(body)}"})


class SourceServer:
    """A context manager. `replies` maps a path (without its query) to a Reply or to a function of the Request;
    a path without one answers 404. `requests` lists what came, in order."""

    def __init__(self, replies: Mapping[str, Answer] | None = None) -> None:
        self.replies: dict[str, Answer] = dict(replies or {})
        self.requests: list[Request] = []
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def host(self) -> str:
        """HOST:PORT, as an allowed source is written."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"

    def paths(self, method: str = "GET") -> list[str]:
        return [request.path.partition("?")[0] for request in self.requests if request.method == method]

    def __enter__(self) -> SourceServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up on a body it refuses is expected here; anything else is told as usual."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(source: SourceServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, dict(self.headers), body)
            source.requests.append(request)
            answer = source.replies.get(self.path.partition("?")[0], Reply(b"no such file", 404))
            self.send(answer(request) if callable(answer) else answer)

        def send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(reply.size if reply.length is None else reply.length))
            self.end_headers()
            left = reply.size if reply.cut_after is None else reply.cut_after
            for n, block in enumerate(reply.blocks()):
                if n == 1 and reply.hold is not None:
                    reply.hold.wait(60)
                piece = block[:left]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if reply.chunked else piece)
                left -= len(piece)
                if left == 0:
                    break
            if reply.cut_after is not None:
                self.close_connection = True
            elif reply.chunked:
                self.wfile.write(b"0\r\n\r\n")

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            """Tests read `requests` instead."""

    return Handler
