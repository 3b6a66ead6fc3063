"""TLS whose records are moved many at a time, against OpenSSL on a socket at the other end."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import trustme

from sluiceway.aws.session import new_session
from sluiceway.sink.client import s3_client
from sluiceway.tls import AT_ONCE_BYTES, TlsSocket, plain, with_tls_sockets
from tests.support.source import Body

MIB = 1024**2
RECORD = 16 * 1024
LONG = Body(8 * MIB + 7, seed=1).read()
Serve = Callable[[ssl.SSLSocket], None]


class Counting(socket.socket):
    """How often it is asked for bytes, and given some to send."""

    received = sent = 0

    def recv_into(self, *arguments: Any) -> int:
        self.received += 1
        return super().recv_into(*arguments)

    def sendall(self, *arguments: Any) -> None:
        self.sent += 1
        super().sendall(*arguments)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def connect(authority: trustme.CA, request: pytest.FixtureRequest) -> Callable[[Serve], Any]:
    """A context manager: a TlsSocket to a server that does `serve` with its end, once."""
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.maximum_version = request.param
    authority.issue_cert("localhost").configure_cert(theirs)
    ours = with_tls_sockets(ssl.create_default_context())
    authority.configure_trust(ours)

    @contextmanager
    def connected(serve: Serve) -> Iterator[TlsSocket]:
        def accept() -> None:
            accepted, _ = listener.accept()
            with theirs.wrap_socket(accepted, server_side=True) as end:
                serve(end)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = threading.Thread(target=accept)
            server.start()
            with socket.create_connection(listener.getsockname()) as made:
                counting = Counting(fileno=made.detach())
            try:
                wrapped: Any = ours.wrap_socket(counting, server_hostname="localhost")
                yield wrapped
            finally:
                counting.close()
                server.join()

    return connected


def read_all(sock: TlsSocket, size: int) -> bytes:
    """In views of `size` bytes each."""
    got, view = bytearray(), memoryview(bytearray(size))
    while count := sock.fill(view):
        got += view[:count]
    return bytes(got)


@pytest.mark.parametrize("size", [1, 1000, RECORD, AT_ONCE_BYTES + 1, 3 * MIB])
def test_what_is_sent_is_read_whatever_the_size_of_views(connect: Callable[[Serve], Any], size: int) -> None:
    body = LONG[: 50 * size] if size < 1000 else LONG

    def serve(end: ssl.SSLSocket) -> None:
        end.sendall(body)
        with suppress(OSError):  # it says goodbye; nobody answers
            end.unwrap()

    with connect(serve) as sock:
        sock.suppress_ragged_eofs = False
        assert read_all(sock, size) == body


def test_records_are_read_and_written_many_at_a_time(connect: Callable[[Serve], Any]) -> None:
    heard: list[str] = []

    def serve(end: ssl.SSLSocket) -> None:
        end.sendall(LONG)
        told = hashlib.sha256()
        while piece := end.recv(MIB):
            told.update(piece)
        heard.append(told.hexdigest())

    with connect(serve) as sock:
        view = memoryview(bytearray(len(LONG)))
        assert sock.fill(view) == len(LONG) and view == LONG
        before = plain(sock).sent
        sock.sendall(LONG)
        assert plain(sock).sent - before == -(-len(LONG) // AT_ONCE_BYTES)
        assert plain(sock).received < len(LONG) / RECORD
        plain(sock).shutdown(socket.SHUT_WR)
    assert heard == [hashlib.sha256(LONG).hexdigest()]


def test_it_is_read_as_a_file_as_http_client_does(connect: Callable[[Serve], Any]) -> None:
    with connect(lambda end: end.sendall(b"one\r\n" + LONG)) as sock, sock.makefile("rb") as file:
        assert file.readline() == b"one\r\n"
        assert file.read(len(LONG)) == LONG


def test_an_end_without_a_word_is_an_end_or_an_error(connect: Callable[[Serve], Any]) -> None:
    def cut(end: ssl.SSLSocket) -> None:
        end.sendall(b"some")
        end.shutdown(socket.SHUT_RDWR)

    with connect(cut) as sock:
        assert read_all(sock, 100) == b"some"
    with connect(cut) as sock:
        sock.suppress_ragged_eofs = False
        assert sock.recv(100) == b"some"
        with pytest.raises(ssl.SSLError):
            sock.recv(100)


def test_a_peer_that_has_said_goodbye_need_not_hang_up(connect: Callable[[Serve], Any]) -> None:
    done = threading.Event()

    def serve(end: ssl.SSLSocket) -> None:
        end.sendall(b"some")
        end.settimeout(0.01)
        with suppress(OSError):
            end.unwrap()
        done.wait()

    with connect(serve) as sock:
        assert [sock.recv(100) for _ in range(4)] == [b"some", b"", b"", b""]
        assert sock.fill(memoryview(bytearray(10))) == 0
        done.set()


def test_a_peer_that_says_nothing_is_waited_for_as_long_as_was_asked(connect: Callable[[Serve], Any]) -> None:
    done = threading.Event()
    with connect(lambda end: done.wait() and None) as sock:
        sock.settimeout(0.01)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        done.set()


def test_a_certificate_of_another_host_is_refused(authority: trustme.CA) -> None:
    ours, theirs = with_tls_sockets(ssl.create_default_context()), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(ours)
    authority.issue_cert("elsewhere.example").configure_cert(theirs)
    mine, other = socket.socketpair()

    def serve() -> None:
        with pytest.raises(OSError), theirs.wrap_socket(other, server_side=True):
            raise AssertionError("the handshake succeeded")

    server = threading.Thread(target=serve)
    server.start()
    with mine, pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        ours.wrap_socket(mine, server_hostname="localhost")
    server.join()


def test_botocore_connects_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = s3_client(new_session())
    context = client._endpoint.http_session._manager.connection_from_url("https://s3.example").conn_kw["ssl_context"]
    assert context.wrap_socket.__qualname__.startswith("with_tls_sockets.")
