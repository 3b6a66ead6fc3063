"""Kills the process of a function in the middle of its work, at a moment that a server sees.

Knows which process is behind a request: by the port it asks from, or by the function it runs. The request waits until
the process is gone, so no kill comes too late. Refuses to know what the job should come to.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil

from local.calls import Call
from local.engine import Engine
from tests.support.ranges import Sending
from tests.support.waiting import wait_until


@dataclass
class Killer:
    """Kills once: at the first piece of a file, or the first AWS call, that it is told to wait for."""

    engine: Engine | None = None
    killed: list[str] = field(default_factory=list)
    _at_piece: Callable[[Sending], bool] | None = None
    _at_call: Callable[[Call], bool] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def at_piece(self, wanted: Callable[[Sending], bool]) -> None:
        self._at_piece, self._at_call = wanted, None
        self.killed.clear()

    def at_call(self, wanted: Callable[[Call], bool]) -> None:
        self._at_piece, self._at_call = None, wanted
        self.killed.clear()

    def on_send(self, sending: Sending) -> None:
        with self._lock:
            if self._at_piece is None or not self._at_piece(sending):
                return
            self._at_piece = None
            self._kill(lambda process: (sending.port, sending.server_port) in _ports(process))

    def on_call(self, call: Call) -> None:
        with self._lock:
            if self._at_call is None or not self._at_call(call):
                return
            self._at_call = None
            self._kill(lambda process: _folder(process) == call.caller)

    def _kill(self, is_wanted: Callable[[psutil.Process], bool]) -> None:
        engine = self.engine
        assert engine is not None
        for pid in engine.pids():
            process = psutil.Process(pid)
            if is_wanted(process):
                self.killed.append(_folder(process))
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda pid=pid: pid not in engine.pids())  # type: ignore[misc]


def _folder(process: psutil.Process) -> str:
    """The function that the process runs: its command ends in HANDLER and the engine's pid."""
    return str(process.cmdline()[-2]).partition(".")[0]


def _ports(process: psutil.Process) -> set[tuple[int, int]]:
    """Of both ends: connections to other servers may have the same port at this one."""
    connections: list[Any] = process.net_connections(kind="tcp")
    return {(connection.laddr.port, connection.raddr.port) for connection in connections if connection.raddr}
