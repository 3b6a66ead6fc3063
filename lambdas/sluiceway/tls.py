"""TLS whose records are read from the socket, and written to it, many at a time.

OpenSSL on a socket makes two system calls for each record of 16 KiB that it reads and one for each that it writes, and
each has the kernel see to packets and acknowledgements. With a quarter of a megabyte at a time a byte takes a seventh
less CPU. Knows urllib3's transport for TLS within TLS, which is TLS over anything at all, and gives it large reads and
writes. Refuses to know HTTP.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

from urllib3.util.ssltransport import SSLTransport

# Each way and connection has a buffer of it, and OpenSSL's of a third more: 1 MiB is 3 % faster and takes 7 MiB more.
AT_ONCE_BYTES = 256 * 1024

T = TypeVar("T")


class TlsSocket(SSLTransport):
    """A connected socket under TLS, as far as http.client, urllib3 and botocore use one; `socket` is the plain one.
    Raises what an SSLSocket does."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._received = memoryview(bytearray(AT_ONCE_BYTES))
        self._has_ended = False
        super().__init__(sock, context, server_hostname)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        """Up to `len` bytes of one record: into `buffer`, with their number, where there is one."""
        done: Any = b"" if buffer is None else 0
        if self._has_ended:  # a peer that has said so may leave the connection open
            return done
        try:
            if not (self.incoming.pending or self.incoming.eof or self.sslobj.pending()):
                self._exchange()  # OpenSSL would ask for it by an error, which costs more
            done = self._ssl_io_loop(self.sslobj.read, *((len,) if buffer is None else (len, buffer)))
        except ssl.SSLError as error:
            if not self._is_end(error):
                raise
        self._has_ended = len > 0 and not done
        return done

    _wrap_ssl_read = read  # what SSLTransport.recv calls

    def fill(self, view: memoryview) -> int:
        """Reads until `view` is full or the peer has ended; tells how many bytes came."""
        got, read = 0, self.sslobj.read
        try:
            while got < len(view):
                try:
                    while got < len(view) and (more := read(len(view) - got, view[got:])):
                        got += int(more)
                    break
                except ssl.SSLWantReadError:
                    self._exchange()
        except ssl.SSLError as error:
            if not self._is_end(error):
                raise
        return got

    def send(self, data: Any, flags: int = 0) -> int:
        """The first AT_ONCE_BYTES of `data`, or all if there are fewer; tells how many."""
        return int(self._ssl_io_loop(self.sslobj.write, data[:AT_ONCE_BYTES]))

    def _ssl_io_loop(self, func: Callable[..., T], *arguments: Any) -> T:
        while True:
            try:
                done = func(*arguments)
            except ssl.SSLWantReadError:
                self._exchange()
            else:
                self._flush()
                return done

    def _exchange(self) -> None:
        """Sends what OpenSSL has to say and receives what it waits for."""
        self._flush()
        count = self.socket.recv_into(self._received)
        if count:
            self.incoming.write(self._received[:count])
        else:
            self.incoming.write_eof()

    def _flush(self) -> None:
        if self.outgoing.pending:
            self.socket.sendall(self.outgoing.read())

    def _is_end(self, error: ssl.SSLError) -> bool:
        return self.suppress_ragged_eofs and is_cut(error)


def is_cut(error: ssl.SSLError) -> bool:
    """Whether the connection ended and TLS had not said so. Python before 3.11.3 knows it by its reason alone."""
    return isinstance(error, ssl.SSLEOFError) or getattr(error, "reason", "") == "UNEXPECTED_EOF_WHILE_READING"


def plain(sock: Any) -> Any:
    """The socket itself, be it under TLS or not."""
    return getattr(sock, "socket", sock)


def with_tls_sockets(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same context; what it wraps is a TlsSocket."""

    def wrap_socket(sock: socket.socket, *, server_hostname: str | None = None, **_: Any) -> TlsSocket:
        return TlsSocket(sock, context, server_hostname)

    context.wrap_socket = wrap_socket  # type: ignore[assignment, method-assign]
    return context
