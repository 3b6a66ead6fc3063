"""Digests whose state can be put down and taken up again by another process, machine or architecture.

hashlib cannot export a state. Two libraries can, and either serves: the libcrypto that hashlib itself is linked to
(as fast, and it releases the GIL), else the package rehashes. The state is their common ground, what FIPS 180-4 and
RFC 1321 call the chaining value, with the number of bytes taken and the bytes of the unfinished block: nothing in it
depends on the machine. Refuses to know why a transfer pauses.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import Protocol

from sluiceway.transfer import libcrypto, rehashing
from sluiceway.transfer.digest import ROWS, Crc, Hash, Rows
from sluiceway.transfer.layouts import LAYOUTS, HashState

# JSON form of a state: chaining words and pending bytes in hex, bytes taken as a number; under 400 characters.
State = Mapping[str, str | int]


class ResumableHash(Hash, Protocol):
    def state(self) -> dict[str, str | int]: ...


class _Digest:
    """A hash of one of the backends in the words of hashlib, with `state()`."""

    def __init__(self, name: str, state: State | None) -> None:
        layout = LAYOUTS[name]
        backend = _backend(name)
        self._hash = backend(layout, layout.parse(state) if state else None)
        self._layout = layout

    def update(self, data: memoryview, /) -> None:
        self._hash.update(data)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def state(self) -> dict[str, str | int]:
        return self._layout.format(self._hash.state())


class _Crc(Crc):
    def state(self) -> dict[str, str | int]:
        return {"h": self.hexdigest()}


def resumable_hash(name: str, state: State | None = None) -> ResumableHash:
    """An empty digest of the algorithm `name`, or one that goes on from `state`. Raises ValueError for a state that
    cannot be one of `name`."""
    if name == ROWS:
        return Rows(state)
    if name in LAYOUTS:
        return _Digest(name, state)
    return _Crc(name, int(str(state["h"]), 16) if state else 0)


@functools.cache
def _backend(name: str) -> type[libcrypto.Context] | type[rehashing.Context]:
    """libcrypto's, once it has agreed with hashlib here: its functions are deprecated in OpenSSL 3 and their structs
    are read from headers, so nothing is taken on trust."""
    return libcrypto.Context if agrees(libcrypto.Context, name) else rehashing.Context


def agrees(context: type[libcrypto.Context] | type[rehashing.Context], name: str) -> bool:
    """Whether a digest put down and taken up at awkward places equals hashlib's."""
    layout = LAYOUTS[name]
    data = bytes(range(251)) * 2
    try:
        state: HashState | None = None
        for begin, end in ((0, 0), (0, 1), (1, 64), (64, 191), (191, 256), (256, len(data))):
            context_now = context(layout, state)
            context_now.update(memoryview(data)[begin:end])
            state = layout.parse(layout.format(context_now.state()))
        return context(layout, state).hexdigest() == hashlib.new(name, data, usedforsecurity=False).hexdigest()
    except (AttributeError, OSError, ValueError):
        return False
