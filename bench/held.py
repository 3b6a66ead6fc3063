"""Files kept in memory while clients are measured.

Systems that page idle memory out would have whichever client comes next pay for a cold file: once 11.9 s for 4 GiB
that took 5.1 s a moment later. Locked pages stay.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_FAILED = ctypes.c_void_p(-1).value
_libc = ctypes.CDLL(None, use_errno=True)
# Python's own mmap tells no address of what it maps for reading.
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.mmap.restype = ctypes.c_void_p
_libc.munmap.argtypes = _libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


@contextmanager
def held(paths: Iterable[Path]) -> Iterator[None]:
    """Reads every file and keeps it in memory until the block ends. Where the machine allows no lock, it says so and
    goes on with files that were read."""
    with ExitStack() as files:
        for path in paths:
            files.enter_context(_held(path))
        yield


@contextmanager
def _held(path: Path) -> Iterator[None]:
    size = path.stat().st_size
    with path.open("rb") as file:
        address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    if address == _FAILED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    try:
        if _libc.mlock(address, size):
            print(f"  {path.name} is not kept in memory: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
            with path.open("rb", buffering=0) as file:
                while file.read(1024**2):
                    pass
        yield
    finally:
        _libc.munmap(address, size)
