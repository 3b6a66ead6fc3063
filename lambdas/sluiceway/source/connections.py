"""urllib3's connections and pools, made to obey the URL policy and to be measured.

Knows how a connection is opened: to an address that the policy checked in that very moment. TLS still verifies the
name. Handshakes and headers that trickle are cut, and none outlasts the time that its request has. Pools keep at most
10 connections a host, drop those idle for 30 s, and count how often a request of each thread waited.
"""

from __future__ import annotations

import functools
import http.client
import logging
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from sluiceway.errors import OutOfTimeError, SourceUnreachableError
from sluiceway.source.body import tell_cuts
from sluiceway.source.policy import UrlPolicy
from sluiceway.source.stall import WINDOW_SECONDS, Watch, stalls, unlimited
from sluiceway.tls import plain, with_tls_sockets

CONNECTIONS_PER_HOST = 10
# Shorter than the 60 s after which common servers and balancers close an idle connection without a word.
KEEP_ALIVE_SECONDS = 30.0
# RFC 9110, 15.2: any number of these may come before the reply. After 101, which nobody asks for, comes no HTTP.
INTERIM_STATUSES = frozenset(range(100, 200)) - {101}
# http.client undoes the last, where it stands just so in one line; of any other it hands out the framing as a body.
TRANSFER_CODINGS = frozenset({"", "identity", "chunked"})
# RFC 9112, 7.1: chunk-size and its extensions, with the whitespace before those that 7.1.1 lets in.
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;[^\r\n]*)?\r?\n")
MAX_LINE_BYTES = 64 * 1024


class _NoQueries(logging.Filter):
    """urllib3 logs each request's path with its query, which holds the signature of a signed link."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                arg.partition("?")[0] if isinstance(arg, str) and "?" in arg else arg for arg in record.args
            )
        return True


for _name in ("urllib3.connectionpool", "urllib3.connection"):
    logging.getLogger(_name).addFilter(_NoQueries())


def _connect(connection: Any, policy: UrlPolicy) -> socket.socket:
    """Connects to the first checked address that answers. Raises PolicyError, OutOfTimeError or urllib3's connect
    errors."""
    last: OSError | None = None
    for address in policy.addresses(str(connection.host).strip("[]").lower(), connection.port):
        timeout = min(connection.timeout, connection.thread.seconds_left())
        if timeout <= 0:
            raise OutOfTimeError(f"host {connection.host}: no time is left to connect")
        try:
            # The standard library's, not urllib3's: that one would resolve again. A numeric address does not resolve.
            sock = socket.create_connection((address, connection.port), timeout)
        except OSError as error:
            last = error
            continue
        for option in connection.socket_options or ():
            sock.setsockopt(*option)
        return sock
    if isinstance(last, TimeoutError):
        raise ConnectTimeoutError(connection, f"connecting to {connection.host} timed out") from last
    raise NewConnectionError(connection, f"cannot connect: {last}") from last


@contextmanager
def _in_time(connection: Any, sock: socket.socket | None, seconds: float, what: str) -> Iterator[Watch]:
    """Cuts the socket when the block takes longer than `seconds`, and raises SourceUnreachableError then, or when it
    takes longer than its request may: OutOfTimeError."""
    watch = stalls.watch(sock, seconds, seconds_left=connection.thread.seconds_left)
    watch.reading()
    try:
        yield watch
    except Exception as error:
        if watch.is_late:
            raise OutOfTimeError(f"host {connection.host}: {what} was not over when time was up") from error
        if watch.stalled:
            raise SourceUnreachableError(f"host {connection.host}: {what} took longer than {seconds:g} s") from error
        raise
    finally:
        watch.end()


class _Head:
    """The file beneath a reply while its head is read; `last` is the last line of it."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.last = b""

    def readline(self, limit: int) -> bytes:
        self.last = self.file.readline(limit)
        return self.last

    def close(self) -> None:
        self.file.close()


class _Response(http.client.HTTPResponse):
    """http.client takes a connection that ends within the headers for the end of the headers, and drops all that follow
    a line that is none. Either could lose the Content-Length, and with it the knowledge that a body was cut short. Of
    replies that only announce another it skips 100 alone; and it is easy about chunked framing, where what it takes for
    a body may be the framing itself, or a part of the body."""

    def begin(self) -> None:
        head = _Head(self.fp)
        self.fp: Any = head
        try:
            super().begin()
            while self.status in INTERIM_STATUSES:
                # Else http.client takes the reply for begun.
                self.headers: Any = None
                super().begin()
        finally:
            if self.fp is head:
                self.fp = head.file
        if head.last.strip():
            raise http.client.HTTPException("a head without an end")
        if not head.last:
            raise http.client.RemoteDisconnected("the connection ended in the head of the reply")
        if not self.msg.is_multipart() and self.msg.get_payload():
            raise http.client.HTTPException("a header line that is none")
        if ",".join(self.msg.get_all("transfer-encoding", ())).lower() not in TRANSFER_CODINGS:
            raise http.client.HTTPException("a transfer coding that is not undone")

    def _read_next_chunk_size(self) -> int:
        # The name is http.client's. Its own takes whatever int() takes, and a line that was cut off after the zeros
        # that some servers write before a size for the last chunk.
        match = CHUNK_SIZE.fullmatch(self.fp.readline(MAX_LINE_BYTES))
        if match is None:
            raise ValueError("a chunk's size that is none")
        return int(match[1], 16)


class _Http(HTTPConnection):
    policy: UrlPolicy
    stall_seconds: float
    thread: ThisThread
    response_class = _Response

    def _new_conn(self) -> socket.socket:
        return _connect(self, self.policy)

    def getresponse(self) -> Any:
        sock = self.sock
        with _in_time(self, plain(sock), self.stall_seconds, "the head of the reply"):
            response: Any = super().getresponse()
        # http.client lets go of the socket of a connection that will close; who reads and watches the body needs it.
        response.sock = sock
        tell_cuts(response)
        return response


class _Https(_Http, HTTPSConnection):
    tls_context: Callable[[], ssl.SSLContext]
    _handshake: Watch

    def _new_conn(self) -> socket.socket:
        self._handshake.sock = super()._new_conn()
        return self._handshake.sock

    def connect(self) -> None:
        with _in_time(self, None, self.stall_seconds, "connecting with TLS") as self._handshake:
            self.ssl_context = self.tls_context()
            super().connect()


def _tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """What every connection to a host whose certificate `ca_bundle`, or else the machine, vouches for can share."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    # Python before 3.11.3 has OpenSSL tell a connection that was cut off as one that was ended.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    if ca_bundle is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(os.path.expanduser(ca_bundle))
    return with_tls_sockets(context)


def pool_manager(
    policy: UrlPolicy,
    *,
    connections_per_host: int,
    ca_bundle: str | None,
    stall_seconds: float = WINDOW_SECONDS,
) -> PolicyPoolManager:
    """A urllib3 PoolManager whose every connection goes where `policy` allows. A TLS handshake and the head of a reply
    may each take `stall_seconds`."""
    of_thread = ThisThread()
    ours: dict[str, Any] = {"policy": policy, "stall_seconds": stall_seconds, "thread": of_thread}
    # Once, when it is first needed: to read a machine's certificates takes 22 ms of CPU.
    tls_context = functools.cache(functools.partial(_tls_context, ca_bundle))

    class HttpPool(_MeasuredPool, urllib3.HTTPConnectionPool):
        thread = of_thread
        ConnectionCls: Any = type("PolicedHttp", (_Http,), ours)

    class HttpsPool(_MeasuredPool, urllib3.HTTPSConnectionPool):
        thread = of_thread
        ConnectionCls: Any = type("PolicedHttps", (_Https,), {**ours, "tls_context": staticmethod(tls_context)})

    manager = PolicyPoolManager(maxsize=connections_per_host, block=True, retries=False, cert_reqs="CERT_REQUIRED")
    manager.thread = of_thread
    manager.pool_classes_by_scheme = {"http": HttpPool, "https": HttpsPool}
    return manager


def discard(response: urllib3.BaseHTTPResponse) -> None:
    """Ends the connection of a response whose body nobody wants, and gives its place in the pool back: urllib3's close
    alone keeps the place, and once all are kept the next request waits for ever."""
    response.close()
    response.release_conn()


@contextmanager
def discarding_on_error(response: urllib3.BaseHTTPResponse) -> Iterator[None]:
    try:
        yield
    except BaseException:
        discard(response)
        raise


class ThisThread(threading.local):
    """How often a request of this thread has waited for a free connection, and the seconds left to its present one."""

    waits = 0
    seconds_left: Callable[[], float] = staticmethod(unlimited)


class PolicyPoolManager(urllib3.PoolManager):
    """A PoolManager that knows of each thread what its requests have met and may take."""

    thread: ThisThread


class _MeasuredPool:
    thread: ThisThread

    def _get_conn(self, timeout: float | None = None) -> Any:
        pool: Any = self
        if pool.pool is not None and pool.pool.empty():
            self.thread.waits += 1
        connection = super()._get_conn(timeout)  # type: ignore[misc]
        if time.monotonic() - getattr(connection, "idle_since", time.monotonic()) > KEEP_ALIVE_SECONDS:
            connection.close()
        return connection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)  # type: ignore[misc]
