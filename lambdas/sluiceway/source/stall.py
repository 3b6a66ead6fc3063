"""Ends connections that no longer move, and wakes who waits for one when the time of an invocation is up.

A socket's read timeout starts anew with every byte, so a trickle never trips it, and a read blocks until its whole
slice is there. One watching thread a process looks at all watched sockets and shuts one on which fewer bytes than the
least have arrived in a window of the read under way; the reader then wakes with an error. A TLS handshake and the
headers of a reply have one window in all. It never touches a reader's data: the kernel counts what arrives, and is
asked by the watching thread alone, about reads that take long.
"""

from __future__ import annotations

import math
import socket
import struct
import threading
import time
from collections.abc import Callable

from sluiceway.errors import OutOfTimeError, SluicewayError, SourceUnreachableError

# 64 KiB a minute is 1.1 KB/s: below it a 1 GiB file would need eleven days.
WINDOW_SECONDS = 60.0
LEAST_BYTES = 64 * 1024
TICK_SECONDS = 1.0
# A slice read faster than this is a sign that a larger one will do.
QUICK_SECONDS = 0.25
# Linux, include/uapi/linux/tcp.h: tcpi_bytes_received of struct tcp_info, since 4.1.
_RECEIVED = struct.Struct("=128xQ")


def unlimited() -> float:
    """The seconds left to whoever may take for ever."""
    return math.inf


def arrived_bytes(sock: socket.socket | None) -> int | None:
    """How many bytes have arrived on a TCP connection so far, read or not; None where the system does not tell."""
    option = getattr(socket, "TCP_INFO", None)
    if sock is None or option is None:
        return None
    try:
        return int(_RECEIVED.unpack(sock.getsockopt(socket.IPPROTO_TCP, option, _RECEIVED.size))[0])
    except (OSError, struct.error):  # closed meanwhile; or a system that answers with less
        return None


class Watch:
    """One socket under watch, between `reading()` and `moved()`: the time its reader spends elsewhere, say waiting
    for S3, is not the source's. `moved` tells whether the read was quick, `stalled` whether the socket was shut for
    being slow, and `arrived` then how many bytes came in how many seconds, where that `is_counted`. Where it is not,
    and where `least_bytes` is 0, a whole read must end within the window. `is_late`: the socket was shut because no
    `seconds_left` were left. `sock` may be set later than the watch begins."""

    def __init__(
        self,
        owner: Stalls,
        sock: socket.socket | None,
        window_seconds: float,
        least_bytes: int,
        seconds_left: Callable[[], float],
    ) -> None:
        self._owner = owner
        self._seconds_left = seconds_left
        self.sock = sock
        self.window_seconds = window_seconds
        self.least_bytes = least_bytes
        self.is_counted = least_bytes > 0 and arrived_bytes(sock) is not None
        self.since: float | None = None
        self.stalled = False
        self.is_late = False
        self.arrived: tuple[int, float] | None = None
        # Of the read last looked at: when it began; and where its present window began, in time and in bytes.
        self._seen: float | None = None
        self._began = 0.0
        self._before: int | None = None

    def reading(self) -> None:
        self.since = time.monotonic()

    def moved(self) -> bool:
        quick = self.since is not None and time.monotonic() - self.since < QUICK_SECONDS
        self.since = None
        return quick

    def look(self, now: float) -> None:
        """Cuts the read under way if it is too slow or too late. Called by the watching thread, every now and then."""
        since = self.since
        if since is None or self.stalled or self.is_late:
            return
        if self._seconds_left() <= 0:
            self.is_late = True
            self._wake()
            return
        if since != self._seen:
            self._seen, self._began = since, since
            if self.is_counted:
                self._began, self._before = now, arrived_bytes(self.sock)
        seconds = now - self._began
        if seconds <= self.window_seconds:
            return
        count = arrived_bytes(self.sock) if self.is_counted else None
        if count is not None and self._before is not None:
            if count - self._before >= self.least_bytes:
                self._began, self._before = now, count
                return
            self.arrived = count - self._before, seconds
        self.stalled = True
        self._wake()

    def error(self, shown: str) -> SluicewayError | None:
        """Why the socket was shut, of the reading of `shown` (a redacted URL); None where it was not."""
        if self.is_late:
            return OutOfTimeError(f"{shown}: the time of the invocation is up")
        if not self.stalled:
            return None
        why = f"fewer than {self.least_bytes} bytes in {self.window_seconds:g} s"
        if self.arrived is not None:
            count, seconds = self.arrived
            why = f"{count} bytes arrived in {seconds:.1f} s, where {self.least_bytes} are the least"
        return SourceUnreachableError(f"{shown}: stalled: {why}")

    def end(self) -> None:
        self._owner.forget(self)

    def _wake(self) -> None:
        """Shuts the socket under the reader, who has what arrived until then and finds the end of the body after it."""
        if self.sock is not None:
            # A body is only read. Shut for writing as well, Linux resets the connection at the next packet that comes,
            # and the read under way loses what it has (RFC 1122, 4.2.2.13).
            how = socket.SHUT_RD if self.least_bytes else socket.SHUT_RDWR
            try:
                # On the plain socket, also under TLS: closing the TLS layer from here would race with its reader.
                socket.socket.shutdown(self.sock, how)
            except OSError:
                # Already closed by its peer or by the reader: then the reader is awake.
                return


class Stalls:
    """All watched sockets of a process. Its thread runs only while there are any, and a minute longer."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def watch(
        self,
        sock: socket.socket | None,
        window_seconds: float = WINDOW_SECONDS,
        least_bytes: int = 0,
        seconds_left: Callable[[], float] = unlimited,
    ) -> Watch:
        """Watches `sock` from its next `reading()`: it is shut after `window_seconds` without `moved()` in which fewer
        than `least_bytes` arrived, 0 for however many, and once no `seconds_left` are left."""
        watch = Watch(self, sock, window_seconds, least_bytes, seconds_left)
        with self._changed:
            self._watches.add(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="stalls", daemon=True)
                self._thread.start()
            elif window_seconds < 2 * TICK_SECONDS:
                self._changed.notify()
        return watch

    def forget(self, watch: Watch) -> None:
        with self._changed:
            self._watches.discard(watch)

    def _run(self) -> None:
        with self._changed:
            # A quiet minute before the thread goes: small files in a row then share one.
            idle_since: float | None = None
            while idle_since is None or time.monotonic() - idle_since < WINDOW_SECONDS:
                self._changed.wait(min([TICK_SECONDS, *(watch.window_seconds / 4 for watch in self._watches)]))
                now = time.monotonic()
                idle_since = None if self._watches else (idle_since or now)
                for watch in self._watches:
                    watch.look(now)
            self._thread = None


stalls = Stalls()
