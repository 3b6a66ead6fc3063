"""The same four digests by the package rehashes, for a Python whose libcrypto cannot be reached.

Knows how rehashes 0.3 serialises a digest: little-endian words, the number of whole blocks, the fill of the
unfinished block, and that block. Slower where it must copy, and it holds the GIL: the second choice.
"""

from __future__ import annotations

from typing import Any

from sluiceway.transfer.layouts import HashState, Layout

# Bytes of the block counter: the SHA-2 family of 64-bit words counts in 128 bits.
_COUNTER_BYTES = {"md5": 8, "sha1": 8, "sha256": 8, "sha512": 16}


class Context:
    """One digest in progress, empty or going on from `state`."""

    def __init__(self, layout: Layout, state: HashState | None) -> None:
        import rehashes  # only where it is needed: every import counts at a function's start

        self._layout = layout
        self._hash: Any = getattr(rehashes, f"Py{layout.name.capitalize()}")()
        if state is not None:
            self._hash = type(self._hash).deserialize(self._serialised(state))
        self._count = state.count if state else 0

    def update(self, data: memoryview) -> None:
        self._hash.update(bytes(data))
        self._count += data.nbytes

    def hexdigest(self) -> str:
        copy = type(self._hash).deserialize(self._hash.serialize())
        return str(copy.finalize())

    def state(self) -> HashState:
        raw = bytes(self._hash.serialize())
        head = self._layout.words * self._layout.word_bytes
        data_at = head + _COUNTER_BYTES[self._layout.name] + 1
        pending = self._count % self._layout.block_bytes
        return HashState(self._layout.unpack("<", raw[:head]), self._count, raw[data_at : data_at + pending])

    def _serialised(self, state: HashState) -> bytes:
        layout = self._layout
        blocks = (state.count // layout.block_bytes).to_bytes(_COUNTER_BYTES[layout.name], "little")
        pending = state.pending.ljust(layout.block_bytes - 1, b"\0")
        return layout.pack("<", state.words) + blocks + bytes([len(state.pending)]) + pending
