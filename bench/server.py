"""One nginx as the source of the files and as a sink that takes S3 uploads and throws them away.

Knows nginx's configuration and how to count in its log what the sink was sent. The same process serves http and TLS
on ports of its own, and never runs on the client's core.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import TracebackType

from bench.build import certificate, nginx
from bench.paths import BENCH, BUILT, DATA, TLS

TEMPLATE = BENCH / "nginx.conf"
SHA256 = re.compile(r"[0-9a-f]{64}")
# nginx logs a request once it is over, which may be a moment after its client is.
LOG_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Received:
    """What the sink was sent: bytes of payload in PUT requests, requests of any kind, and whether the payload was
    signed, for which every client takes its SHA-256."""

    bytes: int
    requests: int
    signed: bool


class Server:
    """A context manager: nginx runs inside it, on `cores`. `origin(scheme)` is `http://127.0.0.1:PORT`."""

    def __init__(self, cores: set[int], *, workers: int = 1) -> None:
        self._cores, self._workers = cores, workers
        self._ports = {"http": _free_port(), "https": _free_port()}

    def origin(self, scheme: str) -> str:
        return f"{scheme}://127.0.0.1:{self._ports[scheme]}"

    def address(self, scheme: str) -> str:
        return f"127.0.0.1:{self._ports[scheme]}"

    def received(self, expected: int) -> Received:
        """What the sink was sent since the last call; waits a moment for the log to tell of `expected` bytes."""
        log, deadline = self._folder / "sink.log", time.monotonic() + LOG_SECONDS
        while True:
            lines = [line.split(" ") for line in log.read_text().splitlines()]
            # Method, status, bytes, path, query, digest: tags of an object are put as well, and are no payload.
            puts = [line for line in lines if line[0] == "PUT" and not line[4].startswith("tagging")]
            total = sum(int(line[2]) for line in puts if line[2].isdigit())
            if total >= expected or time.monotonic() > deadline:
                os.truncate(log, 0)
                return Received(total, len(lines), any(SHA256.fullmatch(line[5]) for line in puts))
            time.sleep(0.01)

    def at_once(self) -> int:
        """The most files that the source was sending at the same moment, so far."""
        spans = []
        for line in (self._folder / "source.log").read_text().splitlines():
            end, seconds, *_ = line.split(" ")
            spans.append((float(end) - float(seconds), float(end)))
        return most_at_once(spans)

    def __enter__(self) -> Server:
        binary = nginx()
        certificate()
        DATA.mkdir(parents=True, exist_ok=True)
        self._temporary = tempfile.TemporaryDirectory(dir=BUILT)
        self._folder = Path(self._temporary.name)
        # nginx's worker gives up root: it must still reach its folder.
        self._folder.chmod(0o755)
        (self._folder / "nginx.conf").write_text(self._config())
        self._process = subprocess.Popen(
            [str(binary), "-p", str(self._folder), "-c", "nginx.conf", "-e", "error.log"],
            preexec_fn=lambda: os.sched_setaffinity(0, self._cores),
        )
        self._await()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait()
        self._temporary.cleanup()

    def _config(self) -> str:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        values = {
            "user": "user root;" if os.geteuid() == 0 else "",
            "workers": self._workers,
            "folder": self._folder,
            "tls": TLS,
            "data": DATA,
            "temp": " ".join(f"{kind}_temp_path {self._folder}/{kind};" for kind in kinds),
            **self._ports,
        }
        return re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), TEMPLATE.read_text())

    def _await(self) -> None:
        deadline = time.monotonic() + 10
        for port in self._ports.values():
            while True:
                if self._process.poll() is not None:
                    raise RuntimeError(f"nginx ended: {(self._folder / 'error.log').read_text()[-500:]}")
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)


def most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """How many of the (begin, end) have a moment in common, at most. The moment of an end is no longer theirs."""
    changes = sorted((at, step) for begin, end in spans for at, step in ((begin, 1), (end, -1)))
    return max(accumulate(step for _, step in changes), default=0)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
