"""A source that misbehaves at the socket: it answers each request with the next step of a script, byte by byte.

Knows HTTP only as bytes it writes itself. Refuses to know what the reader should make of it.
"""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

MIB = 1024**2
YESTERDAY = "Sun, 22 Nov 2026 10:00:00 GMT"


def pattern(size: int, seed: int = 0) -> bytes:
    """`size` bytes, always the same for a seed; no two stretches of them are alike."""
    return random.Random(seed).randbytes(size)


@dataclass(frozen=True)
class File:
    """What the source has: its bytes and the validator it gives them."""

    body: bytes
    etag: str | None = '"v1"'

    def headers(self) -> dict[str, str]:
        return {"ETag": self.etag} if self.etag else {}

    def piece(self, first: int, end: int) -> memoryview:
        """Not copied: tests measure the memory of this process."""
        return memoryview(self.body)[first:end]


@dataclass
class Exchange:
    """One request, and the means to answer it wrongly."""

    sock: socket.socket
    path: str
    headers: Mapping[str, str]
    stopped: threading.Event
    keep_alive: bool = False
    ended: bool = False

    def head(self, status: int, headers: Mapping[str, str | int]) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
        self.raw("\r\n".join(lines).encode() + b"\r\n\r\n")

    def raw(self, data: bytes | memoryview) -> None:
        self.sock.sendall(data)

    def reply(
        self, status: int, headers: Mapping[str, str | int] | None = None, body: bytes | memoryview = b""
    ) -> None:
        closing = {} if self.keep_alive else {"Connection": "close"}
        self.head(status, {"Content-Length": len(body), **closing, **(headers or {})})
        self.raw(body)

    def reset(self) -> None:
        """RST instead of FIN: what is still on its way is lost."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Under TLS the object's own close would wait for nothing either; the option is the descriptor's.
        self.sock.close()
        self.ended = True

    def end(self) -> None:
        """FIN now, whatever was announced; under TLS without close_notify."""
        socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        self.ended = True

    def say_goodbye(self) -> None:
        """TLS's close_notify, which `end` leaves out."""
        assert isinstance(self.sock, ssl.SSLSocket)
        # It waits for the reader's own, and most just go away.
        with contextlib.suppress(OSError):
            self.sock.unwrap()

    def drip(self, data: bytes, seconds: float) -> None:
        """A byte every `seconds`, until the reader has gone or the test is over."""
        with contextlib.suppress(OSError):
            for n in range(len(data)):
                self.raw(data[n : n + 1])
                if self.stopped.wait(seconds):
                    return

    def hang(self) -> None:
        """Says nothing more until the reader goes away."""
        self.sock.settimeout(0.05)
        while not self.stopped.is_set():
            try:
                if not self.sock.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    @property
    def range(self) -> tuple[int, int | None] | None:
        """(first, last or None) of a Range header."""
        text = self.headers.get("range")
        if text is None:
            return None
        first, _, last = text.removeprefix("bytes=").partition("-")
        return int(first), int(last) if last else None


Step = Callable[[Exchange], None]


def serve(file: File, *, status: int = 200, chunk: int | None = None, **more: str) -> Step:
    """The well-behaved answer: whole, or the range asked for when If-Range still holds. `chunk` is the longest range
    it grants; keywords are further headers, with - for _."""
    extra = {name.replace("_", "-"): value for name, value in more.items()}

    def step(exchange: Exchange) -> None:
        asked = exchange.range
        if asked is None or exchange.headers.get("if-range") not in (file.etag, extra.get("Last-Modified")):
            exchange.reply(status, {**file.headers(), **extra}, file.body)
            return
        first, total = asked[0], len(file.body)
        if first >= total:
            exchange.reply(416, {"Content-Range": f"bytes */{total}"})
            return
        end = total if asked[1] is None else asked[1] + 1
        end = end if chunk is None else min(end, first + chunk)
        content = {"Content-Range": f"bytes {first}-{end - 1}/{total}"}
        exchange.reply(206, {**file.headers(), **extra, **content}, file.piece(first, end))

    return step


def cut(file: File, after: int, *, reset: bool = False, **more: str) -> Step:
    """Announces the whole file and ends the connection after `after` bytes of it."""
    extra = {name.replace("_", "-"): value for name, value in more.items()}

    def step(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Length": len(file.body), **file.headers(), **extra})
        exchange.raw(file.piece(0, after))
        if reset:
            exchange.reset()
        else:
            exchange.end()

    return step


@dataclass
class Source:
    """A context manager. `steps` answer the requests in order, the last one all further requests. `requests` are the
    headers of what came. `tls` wraps every connection. Every connection is closed after one answer unless
    `keep_alive`."""

    steps: Sequence[Step]
    tls: ssl.SSLContext | None = None
    keep_alive: bool = False
    hang_at_accept: bool = False
    requests: list[Mapping[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._stopped = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/file.bin", host: str | None = None) -> str:
        return f"{'https' if self.tls else 'http'}://{host or '127.0.0.1'}:{self.port}{path}"

    def __enter__(self) -> Source:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stopped.set()
        # Closing alone does not wake accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            waiting = list(self._open)
        for sock in waiting:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(sock)
            self._start(self._converse, sock)

    def _converse(self, sock: socket.socket) -> None:
        wrapped = sock
        # A reader that goes away in the middle is what many of the tests are about.
        with contextlib.suppress(OSError):
            if self.hang_at_accept:
                Exchange(sock, "", {}, self._stopped).hang()
            elif self.tls is not None:
                wrapped = self.tls.wrap_socket(sock, server_side=True)
            stream = wrapped.makefile("rb")
            while not self.hang_at_accept and self._answer(wrapped, stream) and self.keep_alive:
                pass
            stream.close()
        with self._lock:
            self._open.discard(sock)
        wrapped.close()
        sock.close()

    def _answer(self, sock: socket.socket, stream: object) -> bool:
        readline = stream.readline  # type: ignore[attr-defined]
        line = readline().decode("latin-1").split(" ")
        if len(line) < 3:
            return False
        headers: dict[str, str] = {}
        while (text := readline().decode("latin-1").strip()) and ":" in text:
            name, _, value = text.partition(":")
            headers[name.strip().lower()] = value.strip()
        with self._lock:
            step = self.steps[min(len(self.requests), len(self.steps) - 1)]
            self.requests.append(headers)
            self.paths.append(line[1])
        exchange = Exchange(sock, line[1], headers, self._stopped, self.keep_alive)
        step(exchange)
        return not exchange.ended
