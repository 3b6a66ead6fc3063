"""Digests of a byte stream, taken while it flows.

Knows the seven algorithms a file may be verified with, the spellings their values come in, and how to feed
several at once. Refuses to know where the bytes come from and who stated the expected value.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from awscrt import checksums

# Algorithm -> bytes in its value. CRCs are written as big-endian integers, as S3 and GCS write them.
ALGORITHMS: dict[str, int] = {
    "md5": 16,
    "sha1": 20,
    "sha256": 32,
    "sha512": 64,
    "crc32": 4,
    "crc32c": 4,
    "crc64nvme": 8,
}

# No digest of S3 or HTTP, but taken and held against what is stated like one: the number of lines.
ROWS = "rows"

_CRCS: dict[str, Callable[[memoryview, int], int]] = {
    # zlib holds nothing back for buffers: awscrt's crc32 is faster, zlib's is everywhere; both agree.
    "crc32": zlib.crc32,
    "crc32c": checksums.crc32c,
    "crc64nvme": checksums.crc64nvme,
}


def normalise(name: str, value: str) -> str:
    """The lower-case hex form of a digest given in hex or base64. Raises ValueError for an unknown algorithm or a
    value of another length. Neither form is guessed: they differ in length, or, for 4 bytes, base64 ends in padding.
    """
    if name not in ALGORITHMS:
        raise ValueError(f"{name} is none of {', '.join(ALGORITHMS)}")
    size = ALGORITHMS[name]
    text = value.strip()
    try:
        is_hex = len(text) == 2 * size and not text.endswith("=")
        raw = bytes.fromhex(text) if is_hex else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise ValueError(f"{value!r} is neither hex nor base64 of {size} bytes") from None
    if len(raw) != size:
        raise ValueError(f"{value!r} is neither hex nor base64 of {size} bytes")
    return raw.hex()


class Hash(Protocol):
    def update(self, data: memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


class Crc:
    """A CRC in the words of hashlib, empty or going on from `value`."""

    def __init__(self, name: str, value: int = 0) -> None:
        self._function = _CRCS[name]
        self._width = 2 * ALGORITHMS[name]
        self._value = value

    def update(self, data: memoryview) -> None:
        self._value = self._function(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:0{self._width}x}"


class Rows:
    """Counts lines in the words of hashlib: newline characters, and what follows the last one. `state` goes on from
    another count: `{"h": lines}`, with `open` where the last one had no end yet."""

    def __init__(self, state: Mapping[str, str | int] | None = None) -> None:
        self._ended = int(state["h"]) if state else 0
        self._open = bool(state and state.get("open"))

    def update(self, data: memoryview) -> None:
        if len(data):
            self._ended += bytes(data).count(b"\n")
            self._open = data[-1] != ord("\n")

    def hexdigest(self) -> str:
        return str(self._ended + self._open)

    def state(self) -> dict[str, str | int]:
        return {"h": self._ended, "open": int(self._open)}


def new_hash(name: str) -> Hash:
    """An empty digest of the algorithm `name`."""
    if name == ROWS:
        return Rows()
    # usedforsecurity=False: md5 and sha1 are checked because sources state them, also where FIPS forbids trusting them.
    return Crc(name) if name in _CRCS else hashlib.new(name, usedforsecurity=False)


def cores_here() -> int:
    """Cores this process may run on, which may be fewer than the machine has."""
    # macOS does not tell.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Digester:
    """Several digests over one stream, made by `new` (hashlib's, unless they must resume elsewhere). With a second
    core of the `cores` (None: all this process may run on), the second and further cryptographic digests are taken in
    a thread beside the first (hashlib releases the GIL); on one core a thread was measured to cost more than it gives.
    """

    def __init__(
        self, names: Iterable[str], *, new: Callable[[str], Hash] = new_hash, cores: int | None = None
    ) -> None:
        self.hashes = {name: new(name) for name in sorted(set(names), key=_costliest_first)}
        # CRCs are next to nothing, and counting rows holds the GIL: neither gains by a thread.
        self._aside = [h for name, h in self.hashes.items() if name not in _CRCS and name != ROWS][1:]
        self._inline = [h for h in self.hashes.values() if h not in self._aside]
        beside = bool(self._aside) and (cores_here() if cores is None else cores) > 1
        self._helper = ThreadPoolExecutor(1, "digest") if beside else None

    def update(self, data: memoryview) -> None:
        """Returns when every digest has taken `data`: the caller may then overwrite it."""
        if self._helper is None:
            for each in self.hashes.values():
                each.update(data)
            return
        beside = self._helper.submit(_feed, self._aside, data)
        _feed(self._inline, data)
        beside.result()

    def hexdigests(self) -> dict[str, str]:
        return {name: each.hexdigest() for name, each in self.hashes.items()}

    def close(self) -> None:
        if self._helper is not None:
            self._helper.shutdown()


def _feed(hashes: list[Hash], data: memoryview) -> None:
    for each in hashes:
        each.update(data)


def _costliest_first(name: str) -> int:
    # Seconds per GiB on a machine with sha_ni: md5 1.4, sha512 1.3, sha1 0.6, sha256 0.6; CRCs next to nothing.
    order = ("md5", "sha512", "sha1", "sha256")
    return order.index(name) if name in order else len(order)
