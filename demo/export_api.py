"""A small export API, as vendors have them: ask for an export, wait until it is done, fetch what it lists.

Knows a dozen files, two of them bad on purpose. `POST /exports` answers with an id, `GET /exports/ID` with the state
and, once done, the list; `GET /files/NAME` with the bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

KB, MB = 1000, 1000**2
BLOCK = 256 * 1024
# Polls that still answer RUNNING.
POLLS = 2


@dataclass(frozen=True)
class DemoFile:
    """`size` bytes made from the name as they are sent, so that 200 MB cost neither disk nor memory."""

    name: str
    size: int
    missing: bool = False
    lies: bool = False

    def blocks(self) -> Iterator[bytes]:
        seed = hashlib.sha512(self.name.encode()).digest()
        block = b"".join(hashlib.sha512(seed + bytes([n % 256, n // 256])).digest() for n in range(BLOCK // 64))
        for left in range(self.size, 0, -BLOCK):
            yield block[:left]

    @cached_property
    def sha256(self) -> str:
        """What the list states; wrong for a file that lies."""
        digest = hashlib.sha256(b"another file" if self.lies else b"")
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()


FILES = (
    DemoFile("readme.txt", 1 * KB),
    DemoFile("accounts.csv", 4 * KB),
    DemoFile("regions.csv", 37 * KB),
    DemoFile("customers.csv", 250 * KB),
    DemoFile("contacts.csv", 1 * MB),
    DemoFile("orders/2026-09.csv", 3 * MB),
    DemoFile("orders/2026-10.csv", 8 * MB),
    DemoFile("orders/2026-11.csv", 20 * MB),
    DemoFile("events.jsonl", 64 * MB),
    DemoFile("archive.tar", 200 * MB),
    DemoFile("invoices.csv", 2 * MB, lies=True),
    DemoFile("tickets.csv", 1 * MB, missing=True),
)


class ExportApi:
    """A context manager: serves on a free port of loopback until it is left."""

    def __init__(self, files: tuple[DemoFile, ...] = FILES) -> None:
        self.files = {file.name: file for file in files}
        self._ids = itertools.count(1)
        self._polls: dict[str, int] = {}
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> dict[str, Any]:
        export = f"exp-{next(self._ids)}"
        self._polls[export] = 0
        return {"id": export, "status": "QUEUED"}

    def poll(self, export: str) -> dict[str, Any]:
        self._polls[export] += 1
        if self._polls[export] <= POLLS:
            return {"id": export, "status": "RUNNING", "done_percent": 100 * self._polls[export] // (POLLS + 1)}
        listed = [
            {"href": f"/files/{file.name}", "name": file.name, "bytes": file.size, "sha256": file.sha256}
            for file in self.files.values()
        ]
        return {"id": export, "status": "DONE", "files": listed}

    def __enter__(self) -> ExportApi:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave, as on Ctrl-C, are nothing to print a traceback for."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(api: ExportApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.answer(202, api.start())

        def do_GET(self) -> None:
            room, _, name = self.path.removeprefix("/").partition("/")
            if room == "exports" and name in api._polls:
                self.answer(200, api.poll(name))
            elif room == "files" and name in api.files and not api.files[name].missing:
                self.send_file(api.files[name])
            else:
                self.answer(404, {"error": f"there is no {self.path}"})

        def answer(self, status: int, reply: dict[str, Any]) -> None:
            body = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def send_file(self, file: DemoFile) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(file.size))
            self.end_headers()
            for block in file.blocks():
                self.wfile.write(block)

        def log_message(self, *_: Any) -> None:
            """The demo shows the job, not the vendor's log."""

    return Handler
