"""Ends connections that no longer move.

A socket's read timeout starts anew with every byte, so a trickle never trips it, and a read blocks until its whole
slice is there. One watching thread a process looks at all watched sockets and shuts one whose last slice is older
than its window; the reader then wakes with an error. The same holds for a TLS handshake and for the headers of a
reply. It never touches a reader's data.
"""

from __future__ import annotations

import socket
import threading
import time

# 64 KiB a minute is 1.1 KB/s: below it a 1 GiB file would need eleven days.
WINDOW_SECONDS = 60.0
TICK_SECONDS = 1.0
# A slice read faster than this is a sign that a larger one will do.
QUICK_SECONDS = 0.25


class Watch:
    """One socket under watch, between `reading()` and `moved()`: the time its reader spends elsewhere, say waiting
    for S3, is not the source's. `moved` tells whether the read was quick, `stalled` whether the socket was shut. `sock`
    may be set later than the watch begins."""

    def __init__(self, owner: Stalls, sock: socket.socket | None, window_seconds: float) -> None:
        self._owner = owner
        self.sock = sock
        self.window_seconds = window_seconds
        self.since: float | None = None
        self.stalled = False

    def reading(self) -> None:
        self.since = time.monotonic()

    def moved(self) -> bool:
        quick = self.since is not None and time.monotonic() - self.since < QUICK_SECONDS
        self.since = None
        return quick

    def end(self) -> None:
        self._owner.forget(self)

    def cut(self) -> None:
        """Wakes the reader: shuts the socket under it."""
        self.stalled = True
        if self.sock is not None:
            try:
                # On the plain socket, also under TLS: closing the TLS layer from here would race with its reader.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
            except OSError:
                # Already closed by its peer or by the reader: then the reader is awake.
                return


class Stalls:
    """All watched sockets of a process. Its thread runs only while there are any, and a minute longer."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def watch(self, sock: socket.socket | None, window_seconds: float = WINDOW_SECONDS) -> Watch:
        """Watches `sock` from its next `reading()`: it is shut after `window_seconds` without `moved()`."""
        watch = Watch(self, sock, window_seconds)
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
                    since = watch.since
                    if since is not None and now - since > watch.window_seconds and not watch.stalled:
                        watch.cut()
            self._thread = None


stalls = Stalls()
