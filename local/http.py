"""A small HTTP/1.1 server for loopback: one thread a connection, bodies streamed both ways.

Knows framing, keep-alive, `Expect: 100-continue`, that pages in browsers are refused (visitors.py) and how to end every
connection on close. Refuses to know what the requests mean: a handler is a function from Request to Response. The
standard library's own server parses headers with the email package and offers no streaming of chunked bodies, hence
this one.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import BinaryIO, cast

from local.visitors import refusal

LOG = logging.getLogger(__name__)

MAX_LINE = 64 * 1024
MAX_HEADERS = 200
DRAIN_BUFFER = 256 * 1024
CLOSE_SECONDS = 5.0
ACCEPT_PAUSE_SECONDS = 0.5


class BadRequestError(Exception):
    """The peer broke HTTP; the connection ends."""


class BodyCutShortError(BadRequestError):
    """The peer closed the connection before the announced end of the body."""


class Body:
    """The bytes of a request. `readinto` returns 0 at the end, raises BodyCutShortError when the peer vanishes, however
    it does."""

    def __init__(self, stream: BinaryIO, length: int | None, on_first_read: Callable[[], None]) -> None:
        self._stream = stream
        self._chunked = length is None
        self._left = length or 0
        self._on_first_read: Callable[[], None] | None = on_first_read
        self.done = length == 0
        self.length = length

    def readinto(self, view: memoryview) -> int:
        if self.done or not len(view):
            return 0
        try:
            return self._receive(view)
        except ConnectionError as error:
            raise BodyCutShortError("connection lost inside a body") from error

    def _receive(self, view: memoryview) -> int:
        if self._on_first_read is not None:
            self._on_first_read()
            self._on_first_read = None
        if self._chunked and not self._left and not self._next_chunk():
            return 0
        count = self._stream.readinto(view[: min(len(view), self._left)])  # type: ignore[attr-defined]
        if not count:
            raise BodyCutShortError("connection closed inside a body")
        self._left -= count
        if not self._left:
            self._end_of_run()
        return int(count)

    def read(self, size: int = -1) -> bytes:
        """All the rest, or up to `size` bytes."""
        parts, wanted = [], size if size >= 0 else 1 << 62
        buffer = memoryview(bytearray(min(wanted, 64 * 1024)))
        while wanted > 0 and (count := self.readinto(buffer[: min(len(buffer), wanted)])):
            parts.append(bytes(buffer[:count]))
            wanted -= count
        return b"".join(parts)

    @property
    def untouched(self) -> bool:
        return self._on_first_read is not None and not self.done

    def _next_chunk(self) -> bool:
        size_line = self._stream.readline(MAX_LINE)
        try:
            self._left = int(size_line.split(b";")[0], 16)
        except ValueError:
            raise BodyCutShortError(f"bad chunk size {size_line[:40]!r}") from None
        if self._left:
            return True
        while self._stream.readline(MAX_LINE) not in (b"\r\n", b"\n", b""):
            pass
        self.done = True
        return False

    def _end_of_run(self) -> None:
        if self._chunked:
            self._stream.readline(MAX_LINE)
        else:
            self.done = True


@dataclass(slots=True)
class Request:
    """`headers` has lower-case names; `path` and `query` are as sent, not decoded."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Body


@dataclass(slots=True)
class FileBody:
    """Bytes [offset, offset+length) of an open file, which the server closes."""

    file: BinaryIO
    offset: int
    length: int


@dataclass(slots=True)
class Response:
    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | FileBody = b""

    @property
    def length(self) -> int:
        return len(self.body) if isinstance(self.body, bytes) else self.body.length


Handler = Callable[[Request], Response]


class Server:
    """Listens on 127.0.0.1. `port` 0 takes a free one. `close()` ends every connection, and waits for handlers that are
    at work, though not for ever."""

    def __init__(self, handler: Handler, port: int = 0, name: str = "local") -> None:
        self._handler = handler
        self._name = name
        self._live: set[socket.socket] = set()
        self._changed = threading.Condition()
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name=f"{name}-accept", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        with self._changed:
            self._closing = True
            live = list(self._live)
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in live:
            _hang_up(connection)
        self._thread.join(CLOSE_SECONDS)
        with self._changed:
            self._changed.wait_for(lambda: not self._live, CLOSE_SECONDS)

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                if not self._closing:  # too many open files, above all: whoever waits is let in when some close
                    LOG.warning("%s: a connection has to wait: %s", self._name, error)
                    time.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            with self._changed:
                self._live.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name=f"{self._name}-http", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        stream = cast(BinaryIO, connection.makefile("rb", buffering=64 * 1024))
        try:
            while not self._closing and self._serve_one(connection, stream):
                pass
        except (OSError, BadRequestError, ValueError) as error:
            LOG.debug("connection ended: %r", error)
        finally:
            stream.close()
            connection.close()
            with self._changed:
                self._live.discard(connection)
                self._changed.notify_all()

    def _serve_one(self, connection: socket.socket, stream: BinaryIO) -> bool:
        request = _read_request(connection, stream)
        if request is None:
            return False
        try:
            response = _refused(request) or self._handler(request)
        except BadRequestError:
            raise
        except Exception:
            LOG.exception("%s: %s %s failed", self._name, request.method, request.path)
            response = Response(500, [("Content-Type", "text/plain")], b"internal error; see the engine's log")
        keep = _drain(request) and request.headers.get("connection", "").lower() != "close"
        _write_response(connection, request.method, response, keep)
        return keep


def _refused(request: Request) -> Response | None:
    reason = refusal(request.headers)
    return None if reason is None else Response(403, [("Content-Type", "text/plain")], f"{reason}\n".encode())


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        LOG.debug("already closed")


def _drain(request: Request) -> bool:
    """Reads what the handler left, so that closing cannot reset the connection under the reply. False: close it."""
    body = request.body
    if body.untouched and "100-continue" in request.headers.get("expect", "").lower():
        return False
    scratch = memoryview(bytearray(DRAIN_BUFFER))
    while body.readinto(scratch):
        pass
    return True


def _read_request(connection: socket.socket, stream: BinaryIO) -> Request | None:
    line = stream.readline(MAX_LINE)
    if not line.strip():
        return None
    try:
        method, target, _version = line.decode("latin-1").split()
    except ValueError:
        raise BadRequestError(f"bad request line {line[:80]!r}") from None
    headers = dict(_read_headers(stream))
    path, _, query = target.partition("?")
    length: int | None = int(headers.get("content-length", "0"))
    if "chunked" in headers.get("transfer-encoding", "").lower():
        length = None

    def go_on() -> None:
        if "100-continue" in headers.get("expect", "").lower():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    return Request(method, path, query, headers, Body(stream, length, go_on))


def _read_headers(stream: BinaryIO) -> Iterator[tuple[str, str]]:
    for _ in range(MAX_HEADERS):
        line = stream.readline(MAX_LINE)
        if line in (b"\r\n", b"\n"):
            return
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise BadRequestError(f"bad header line {line[:80]!r}")
        yield name.strip().lower(), value.strip()
    raise BadRequestError("too many headers")


def _write_response(connection: socket.socket, method: str, response: Response, keep: bool) -> None:
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    names = {name.lower() for name, _ in response.headers}
    lines += [f"{name}: {value}" for name, value in response.headers]
    if "content-length" not in names and response.status not in (204, 304):
        lines.append(f"Content-Length: {response.length}")
    lines.append(f"Connection: {'keep-alive' if keep else 'close'}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    body = response.body
    if isinstance(body, bytes):
        connection.sendall(head if method == "HEAD" else head + body)
        return
    with body.file as file:
        connection.sendall(head)
        if method != "HEAD":
            _send_file(connection, file, body.offset, body.length)


def _send_file(connection: socket.socket, file: BinaryIO, offset: int, length: int) -> None:
    while length > 0:
        sent = os.sendfile(connection.fileno(), file.fileno(), offset, min(length, 1 << 30))
        if not sent:
            raise OSError("file ended before its length")
        offset += sent
        length -= sent
