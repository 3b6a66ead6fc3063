"""MD5, SHA-1, SHA-256 and SHA-512 by the libcrypto that Python's hashlib is linked to, with their state open.

Knows OpenSSL's low-level functions (SHA256_Init, _Update, _Final and kin) and the layout of their context structs
(openssl/sha.h, openssl/md5.h): chaining words, a bit count as low and high word, the unfinished block, its length.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from typing import Any

from sluiceway.transfer.layouts import HashState, Layout


@functools.cache
def _library() -> ctypes.CDLL:
    """The shared library of hashlib's own module: symbols are looked up in what it depends on, so this is the very
    libcrypto already loaded. Raises AttributeError or OSError where it is built otherwise."""
    import _hashlib

    return ctypes.CDLL(_hashlib.__file__)


@functools.cache
def _functions(name: str) -> tuple[Any, Any, Any]:
    library, prefix = _library(), name.upper()
    init, update, final = (getattr(library, f"{prefix}_{verb}") for verb in ("Init", "Update", "Final"))
    init.argtypes, update.argtypes, final.argtypes = (
        [ctypes.c_void_p],
        [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t],
        [ctypes.c_void_p, ctypes.c_void_p],
    )
    return init, update, final


class Context:
    """One digest in progress, empty or going on from `state`."""

    def __init__(self, layout: Layout, state: HashState | None) -> None:
        self._layout = layout
        self._init, self._update, self._final = _functions(layout.name)
        # The struct ends with the block's fill and, in SHA-2, the digest's length: two ints.
        self._data_at = (layout.words + 2) * layout.word_bytes
        self._size = self._data_at + layout.block_bytes + 8
        self._struct = ctypes.create_string_buffer(self._size)
        self._init(self._struct)
        self._count = 0
        if state is not None:
            self._restore(state)

    def update(self, data: memoryview) -> None:
        """Takes `data`; a writable view is read where it lies, and other threads run meanwhile."""
        if not data.nbytes:
            return
        block = ctypes.c_char * data.nbytes
        pointed = block.from_buffer_copy(data) if data.readonly else block.from_buffer(data)
        self._update(self._struct, pointed, data.nbytes)
        self._count += data.nbytes

    def hexdigest(self) -> str:
        copy = ctypes.create_string_buffer(self._struct.raw, self._size)
        value = ctypes.create_string_buffer(self._layout.digest_bytes)
        self._final(value, copy)
        return value.raw.hex()

    def state(self) -> HashState:
        raw = self._struct.raw
        words = self._layout.unpack("=", raw[: self._layout.words * self._layout.word_bytes])
        pending = self._count % self._layout.block_bytes
        return HashState(words, self._count, raw[self._data_at : self._data_at + pending])

    def _restore(self, state: HashState) -> None:
        width = 8 * self._layout.word_bytes
        bits = state.count * 8
        head = self._layout.pack("=", (*state.words, bits & ((1 << width) - 1), bits >> width))
        body = state.pending.ljust(self._layout.block_bytes, b"\0")
        packed = head + body + struct.pack("=I", len(state.pending))
        ctypes.memmove(self._struct, packed, len(packed))
        self._count = state.count
