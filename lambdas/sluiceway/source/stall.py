"""Ends downloads that no longer move.

A socket's read timeout starts anew with every byte, so a trickle never trips it, and a read blocks until its whole
slice is there. One watching thread a process looks at all open downloads once a second and shuts the socket of one
whose last slice is older than the window; the reader then wakes with an error. It never touches a reader's data.
"""

from __future__ import annotations

import socket
import threading
import time

import urllib3

# 64 KiB a minute is 1.1 KB/s: below it a 1 GiB file would need eleven days.
WINDOW_SECONDS = 60.0
# A slice read faster than this is a sign that a larger one will do.
QUICK_SECONDS = 0.25


class Watch:
    """One download under watch, between `reading()` and `moved()`: the time its reader spends elsewhere, say waiting
    for S3, is not the source's. `moved` tells whether the read was quick."""

    def __init__(self, owner: Stalls, response: urllib3.BaseHTTPResponse) -> None:
        self._owner = owner
        self._response = response
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
        sock = getattr(self._response.connection, "sock", None)
        if sock is not None:
            try:
                # On the plain socket, also under TLS: closing the TLS layer from here would race with its reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                # Already closed by its peer or by the reader: then the reader is awake.
                return


class Stalls:
    """All watched downloads of a process. Its thread runs only while there are any."""

    def __init__(self, *, window_seconds: float = WINDOW_SECONDS, tick_seconds: float = 1.0) -> None:
        self.window_seconds, self.tick_seconds = window_seconds, tick_seconds
        self._watches: set[Watch] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def watch(self, response: urllib3.BaseHTTPResponse) -> Watch:
        watch = Watch(self, response)
        with self._changed:
            self._watches.add(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="stalls", daemon=True)
                self._thread.start()
        return watch

    def forget(self, watch: Watch) -> None:
        with self._changed:
            self._watches.discard(watch)

    def _run(self) -> None:
        with self._changed:
            # A quiet minute before the thread goes: small files in a row then share one.
            idle_since: float | None = None
            while idle_since is None or time.monotonic() - idle_since < self.window_seconds:
                self._changed.wait(self.tick_seconds)
                now = time.monotonic()
                idle_since = None if self._watches else (idle_since or now)
                for watch in self._watches:
                    since = watch.since
                    if since is not None and now - since > self.window_seconds and not watch.stalled:
                        watch.cut()
            self._thread = None


stalls = Stalls()
