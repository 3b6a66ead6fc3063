"""What the inner state of a digest is, by algorithm, and how it is written down.

From RFC 1321 (MD5) and FIPS 180-4 (SHA): so many chaining words, and a block that is compressed once it is full.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HashState:
    """Chaining words, bytes taken in all, and those of the unfinished block."""

    words: tuple[int, ...]
    count: int
    pending: bytes


@dataclass(frozen=True, slots=True)
class Layout:
    """`words` chaining words of struct format `word`; a block of `block_bytes`; a digest of `digest_bytes`."""

    name: str
    words: int
    word: str
    block_bytes: int
    digest_bytes: int

    @property
    def word_bytes(self) -> int:
        return struct.calcsize(self.word)

    def pack(self, order: str, words: tuple[int, ...]) -> bytes:
        """Chaining words as bytes; `order` is a byte order of struct: "<", ">" or "=" (this machine's)."""
        return struct.pack(f"{order}{len(words)}{self.word}", *words)

    def unpack(self, order: str, data: bytes) -> tuple[int, ...]:
        return struct.unpack(f"{order}{self.words}{self.word}", data)

    def format(self, state: HashState) -> dict[str, str | int]:
        """The JSON form: big-endian words and pending bytes in hex."""
        return {"h": self.pack(">", state.words).hex(), "n": state.count, "p": state.pending.hex()}

    def parse(self, text: Mapping[str, str | int]) -> HashState:
        """Reads the JSON form. Raises ValueError where it cannot be a state of this algorithm."""
        try:
            words = self.unpack(">", bytes.fromhex(str(text["h"])))
            state = HashState(words, int(text["n"]), bytes.fromhex(str(text["p"])))
        except (KeyError, struct.error, ValueError) as error:
            raise ValueError(f"not a {self.name} state: {error}") from error
        if state.count < 0 or len(state.pending) != state.count % self.block_bytes:
            raise ValueError(f"not a {self.name} state: {len(state.pending)} bytes pending after {state.count}")
        return state


LAYOUTS = {
    "md5": Layout("md5", 4, "I", 64, 16),
    "sha1": Layout("sha1", 5, "I", 64, 20),
    "sha256": Layout("sha256", 8, "I", 64, 32),
    "sha512": Layout("sha512", 8, "Q", 128, 64),
}
