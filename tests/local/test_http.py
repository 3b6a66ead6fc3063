"""The engine's HTTP server where peers vanish, files run out, and it is closed amid a request."""

from __future__ import annotations

import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local.http import Request, Response, Server
from local.s3_api import S3

SECONDS = 30


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def connection() -> socket.socket:
    client = socket.socket()
    client.settimeout(SECONDS)
    return client


def reset(client: socket.socket) -> None:
    """Closes it as the kernel does for a process that was killed with bytes unread."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("framing", [b"Content-Length: 1000", b"Transfer-Encoding: chunked\r\nContent-Length: 1000"])
@pytest.mark.parametrize("leave", [socket.socket.close, reset])
def test_a_peer_that_vanishes_amid_a_body_leaves_nothing_and_is_no_error_of_ours(
    connection: socket.socket, framing: bytes, leave: Callable[[socket.socket], None],
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    s3 = S3(tmp_path)
    s3.store.create_bucket("landing")
    server = Server(s3)
    with connection:
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(b"PUT /landing/cut HTTP/1.1\r\n" + framing + b"\r\n\r\n3e8\r\nonly this")
        until(lambda: list(s3.store.scratch.iterdir()))
        leave(connection)
        until(lambda: not list(s3.store.scratch.iterdir()))
    server.close()
    s3.close()
    assert list((tmp_path / "landing").iterdir()) == []
    assert caplog.records == []


def test_connections_wait_for_files_that_others_close(
    connection: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(lambda _: Response(204))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    with connection:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
            with pytest.raises(OSError, match="Too many open files"):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            connection.connect(("127.0.0.1", server.port))
            until(lambda: caplog.records)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in taken:
                os.close(descriptor)
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 204"
    server.close()
    assert "a connection has to wait" in caplog.text


def test_closing_waits_for_a_handler_at_work(connection: socket.socket) -> None:
    begun, release, ended = threading.Event(), threading.Event(), threading.Event()

    def handler(_: Request) -> Response:
        begun.set()
        assert release.wait(SECONDS)
        ended.set()
        return Response(204)

    server = Server(handler)
    with connection:
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert begun.wait(SECONDS)
        closing = threading.Thread(target=server.close)
        closing.start()
        assert connection.recv(1) == b""
        assert closing.is_alive()
        release.set()
        closing.join(SECONDS)
    assert ended.is_set() and not closing.is_alive()
