"""A loopback source that honours ranges with a strong validator, as fast or as slow as it is told to be.

Knows RFC 9110's Range and If-Range, for one range. Its bytes depend on the path and the place, and are made as they
are read. Every block differs, so a byte landed in the wrong place shows.
"""

from __future__ import annotations

import hashlib
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MIB = 1024**2
_FILLING = random.Random(1).randbytes(MIB)


@dataclass(frozen=True)
class File:
    """`bytes_per_second` of each connection; None is as fast as it goes."""

    size: int
    bytes_per_second: float | None = None

    def blocks(self, start: int = 0, end: int | None = None) -> Iterator[memoryview]:
        end = self.size if end is None else end
        while start < end:
            block, offset = divmod(start, MIB)
            piece = memoryview(block.to_bytes(8, "big") + _FILLING[8:])[offset : offset + end - start]
            yield piece
            start += len(piece)

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()


@dataclass(frozen=True)
class Sending:
    """A piece about to be sent: at `offset` of the file, by an answer that began at `start`, to the client's `port`
    from the server's."""

    path: str
    start: int
    offset: int
    port: int
    server_port: int


@dataclass
class RangeSource:
    """`on_send` is told of every piece, at most 64 KiB, by the thread that sends it: it may take its time."""

    files: Mapping[str, File]
    on_send: Callable[[Sending], None] | None = None
    host: str = ""
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"


@contextmanager
def range_source(files: Mapping[str, File], on_send: Callable[[Sending], None] | None = None) -> Iterator[RangeSource]:
    source = RangeSource(files, on_send)
    server = _Server(("127.0.0.1", 0), _handler(source))
    source.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield source
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A function that stops in the middle of a body hangs up; that is what is tested."""


def _handler(source: RangeSource) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            file = source.files[self.path]
            asked = self.headers.get("Range")
            source.requests.append((self.path, asked))
            start, end, status = 0, file.size, 200
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked or "")
            if match and self.headers.get("If-Range", '"v1"') == '"v1"':
                start, end, status = int(match[1]), int(match[2]) + 1 if match[2] else file.size, 206
            self.send_response(status)
            self.send_header("ETag", '"v1"')
            self.send_header("Content-Length", str(end - start))
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{file.size}")
            self.end_headers()
            self.send(file, start, end)

        def send(self, file: File, start: int, end: int) -> None:
            began, sent = time.monotonic(), 0
            for block in file.blocks(start, end):
                for at in range(0, len(block), MIB // 16):
                    piece = block[at : at + MIB // 16]
                    if source.on_send is not None:
                        ports = self.client_address[1], self.server.server_address[1]
                        source.on_send(Sending(self.path, start, start + sent, *ports))
                    self.wfile.write(piece)
                    sent += len(piece)
                    if file.bytes_per_second:
                        # The pace is what is simulated: a source that sends no faster.
                        time.sleep(max(0.0, began + sent / file.bytes_per_second - time.monotonic()))

        def log_message(self, *_: Any) -> None:
            """Tests read `requests`."""

    return Handler
