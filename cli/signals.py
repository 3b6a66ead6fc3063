"""SIGTERM and SIGHUP as Ctrl-C: all unwind the stack, so that what is under way is aborted and cleaned up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def terminated_as_interrupt() -> Iterator[None]:
    """Within it SIGTERM, and SIGHUP unless it is ignored, as `nohup` has it, raise KeyboardInterrupt in the main
    thread."""

    def interrupt(number: int, _: Any) -> None:
        if number == signal.SIGHUP:
            # A terminal that goes is told by the kernel and by the shell: the second is no wish to leave at once.
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
