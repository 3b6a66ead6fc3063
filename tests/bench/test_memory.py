"""The memory a transfer takes does not depend on the size of the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

MIB = 1024**2
SMALL, LARGE = 64 * MIB, 1024 * MIB
PART = 8 * MIB
UPLOADERS = 2
# What the interpreter, botocore, urllib3 and the digests need; the rest is part buffers.
BASE = 55 * MIB
GROWTH = 4 * MIB

TRANSFER = """
import json, sys
from sluiceway.aws.session import new_session
from sluiceway.jobs.files import FileTask
from sluiceway.landing.land import land
from sluiceway.landing.options import Options
from sluiceway.landing.memory import peak_memory_bytes
from sluiceway.sink.client import s3_client
from sluiceway.source.client import Client
from sluiceway.source.policy import UrlPolicy

host, part, uploaders, *sizes = sys.argv[1:]
client, s3 = Client(UrlPolicy([host])), s3_client(new_session())
options = Options(part_bytes=int(part), uploaders=int(uploaders), part_checksum="crc64nvme")
peaks = []
for size in sizes:
    result = land(FileTask(f"http://{host}/{size}", "landing", size), options, client=client, s3=s3)
    peaks.append([result.bytes, result.parts, peak_memory_bytes()])
print(json.dumps(peaks))
"""

BLOCK = memoryview(bytes(MIB))


class Handler(BaseHTTPRequestHandler):
    """A source of zeros, `/SIZE`, and an S3 that throws away what it is sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        left = int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(left))
        self.end_headers()
        while left:
            left -= self.connection.send(BLOCK[: min(left, MIB)])

    def do_PUT(self) -> None:
        if self.headers.get("expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        left, hole = int(self.headers["content-length"]), memoryview(bytearray(MIB))
        while left:
            left -= self.rfile.readinto(hole[: min(left, MIB)])  # type: ignore[attr-defined]
        self._answer(b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.endswith("?uploads"):
            self._answer(b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
        else:
            self._answer(b'<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>')

    def handle_expect_100(self) -> bool:
        return True

    def log_message(self, format: str, *args: Any) -> None:
        return

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("ETag", '"e"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def peaks(host: str) -> tuple[int, int]:
    """The peak after the small file and after the large one, in one process that did nothing else."""
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2] / "lambdas"),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": f"http://{host}",
    }
    arguments = [host, str(PART), str(UPLOADERS), str(SMALL), str(LARGE)]
    done = subprocess.run(
        [sys.executable, "-c", TRANSFER, *arguments], env=env, capture_output=True, text=True, check=True
    )
    small, large = json.loads(done.stdout)
    assert small[:2] == [SMALL, SMALL // PART]
    assert large[:2] == [LARGE, LARGE // PART]
    return small[2], large[2]


def test_a_file_sixteen_times_as_large_takes_no_more_memory(peaks: tuple[int, int]) -> None:
    assert peaks[1] - peaks[0] <= GROWTH


def test_the_peak_is_the_base_and_one_part_more_than_there_are_uploaders(peaks: tuple[int, int]) -> None:
    assert peaks[1] <= BASE + (UPLOADERS + 1) * PART
