"""How much memory this process has held at most in an invocation, and giving back what it no longer uses."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import time
from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
# How old a peak may be for a file's result: to read it costs a small file a twentieth of its CPU.
FRESH_SECONDS = 0.1
_last = (float("-inf"), 0)


def begin_peak(clear_refs: Path = CLEAR_REFS) -> None:
    """Counts the peak from here on: a process serves many invocations, and one of the first would stand for all after
    it. Where the system has no such switch, the peak stays that since the process began."""
    global _last
    with contextlib.suppress(OSError):
        clear_refs.write_text("5")  # proc(5): resets the resident peak to what is resident now
    _last = (float("-inf"), 0)


def peak_memory_bytes(status: Path = STATUS) -> int:
    """The resident peak in bytes, of all threads together. Linux's VmHWM belongs to the program that runs; ru_maxrss,
    the fallback, is handed down from whoever started it and may be a larger parent's (getrusage(2))."""
    lines = status.read_text().splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def recent_peak_memory_bytes() -> int:
    """As peak_memory_bytes, up to FRESH_SECONDS ago."""
    global _last
    now = time.monotonic()
    if now - _last[0] > FRESH_SECONDS:
        _last = (now, peak_memory_bytes())
    return _last[1]


def give_back_memory() -> None:
    """Returns to the system what the allocator keeps for later: 2 MiB once botocore has read its descriptions. Where
    the C library is not glibc, nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
