"""A body read straight into memory: every framing, every early end, and no copy on the way."""

from __future__ import annotations

import socket
import ssl
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme
import urllib3

from sluiceway.source.body import read_into

MIB = 1024**2
BODY = bytes(range(256)) * 8
HEAD = b"HTTP/1.1 200 OK\r\n"


def sized(body: bytes, length: int | None = None) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + framed + end


class Tls:
    """A certificate for loopback and those who trust it."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(self.server)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)


@pytest.fixture(scope="module", params=["http", "https"])
def tls(request: pytest.FixtureRequest) -> Tls | None:
    return Tls() if request.param == "https" else None


@contextmanager
def served(*replies: bytes, closes: bool = True, tls: Tls | None = None) -> Iterator[tuple[str, urllib3.PoolManager]]:
    """One connection that answers each request with the next of `replies`, byte for byte."""
    listener, done = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        if tls is not None:
            connection = tls.server.wrap_socket(connection, server_side=True)
        with connection:
            for reply in replies:
                while b"\r\n\r\n" not in connection.recv(65536):
                    pass
                connection.sendall(reply)
            if not closes:
                done.wait()

    thread = threading.Thread(target=serve)
    thread.start()
    pool = urllib3.PoolManager(retries=False, ssl_context=tls.client if tls else None)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}/", pool
    finally:
        done.set()
        pool.clear()
        thread.join()
        listener.close()


def read_all(response: urllib3.BaseHTTPResponse, step: int) -> bytes:
    view, found = memoryview(bytearray(step)), b""
    while got := read_into(response, view):
        found += view[:got]
    return found


@pytest.mark.parametrize("step", [1, 7, 255, 2048, 4096])
@pytest.mark.parametrize(
    "reply",
    [sized(BODY), chunked(BODY), chunked(BODY[:5], BODY[5:6], BODY[6:]), HEAD + b"Connection: close\r\n\r\n" + BODY],
    ids=["Content-Length", "one chunk", "three chunks", "until the end"],
)
def test_a_whole_body_arrives_whatever_its_framing(reply: bytes, step: int, tls: Tls | None) -> None:
    with served(reply, tls=tls) as (url, pool), pool.request("GET", url, preload_content=False) as response:
        assert read_all(response, step) == BODY


@pytest.mark.parametrize("reply", [sized(b""), chunked()], ids=["Content-Length", "chunked"])
def test_an_empty_body_is_empty(reply: bytes, tls: Tls | None) -> None:
    with served(reply, tls=tls) as (url, pool), pool.request("GET", url, preload_content=False) as response:
        assert read_all(response, 10) == b""


@pytest.mark.parametrize(
    "reply",
    [
        sized(BODY, len(BODY) + 1),
        sized(b"", 1),
        chunked(BODY, end=b""),
        chunked(BODY, end=b"5\r\nab"),
        chunked(BODY, end=b"what?\r\n"),
    ],
    ids=["one byte missing", "no byte", "no last chunk", "a chunk cut short", "no chunk at all"],
)
def test_a_body_that_ends_early_is_an_error(reply: bytes, tls: Tls | None) -> None:
    with served(reply, tls=tls) as (url, pool):
        response = pool.request("GET", url, preload_content=False)
        with pytest.raises(urllib3.exceptions.ProtocolError):
            read_all(response, 100)


@pytest.mark.parametrize("reply", [sized(BODY), chunked(BODY)], ids=["Content-Length", "chunked"])
def test_a_body_read_to_its_end_gives_its_connection_back(reply: bytes, tls: Tls | None) -> None:
    with served(reply, reply, closes=False, tls=tls) as (url, pool):
        for _ in range(2):
            response = pool.request("GET", url, preload_content=False)
            assert read_all(response, 100) == BODY
            assert response.connection is None
        # The server takes one connection only: the second request went over the first one's.
        assert pool.connection_from_url(url).num_connections == 1


def test_a_timeout_while_reading_is_urllib3s(tls: Tls | None) -> None:
    with served(sized(BODY, 10_000), closes=False, tls=tls) as (url, pool):
        response = pool.request("GET", url, preload_content=False, timeout=0.2)
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            read_all(response, 4096)


def test_no_second_copy_of_the_bytes_is_made(tls: Tls | None) -> None:
    with (
        served(sized(bytes(8 * MIB)), tls=tls) as (url, pool),
        pool.request("GET", url, preload_content=False) as response,
    ):
        view = memoryview(bytearray(8 * MIB))
        tracemalloc.start()
        try:
            assert read_into(response, view) == 8 * MIB
            assert tracemalloc.get_traced_memory()[1] < MIB
        finally:
            tracemalloc.stop()
