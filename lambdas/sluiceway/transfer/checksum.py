"""The checksum S3 verifies: one value a part, combined into one for the whole object.

Knows CRC64NVME and CRC32 and how values of neighbouring parts combine. Only CRCs can be declared FULL_OBJECT for a
multipart upload; SHA and MD5 are composite there. Source: S3 User Guide, "Checking object integrity".
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from awscrt import checksums


@dataclass(frozen=True, slots=True)
class PartChecksum:
    """`name` as S3 spells it in ChecksumAlgorithm; `of(data, seed)` and `combine(first, second, second_bytes)` work
    on integers; `width` is the value's bytes."""

    name: str
    width: int
    of: Callable[[memoryview, int], int]
    combine: Callable[[int, int, int], int]

    def encode(self, value: int) -> str:
        """Base64 of the big-endian value, the form of the x-amz-checksum-* headers."""
        return base64.b64encode(value.to_bytes(self.width, "big")).decode()


class PartSums:
    """The checksums of an upload's parts, taken by any thread in any order, and the whole they make. `begin` is that of
    the parts an earlier invocation sent. Without a `checksum` there is none of anything."""

    def __init__(self, checksum: PartChecksum | None, begin: int = 0) -> None:
        self._checksum, self._begin = checksum, begin
        self._parts: dict[int, tuple[int, int]] = {}

    def take(self, number: int, body: memoryview) -> str | None:
        """Of part `number`, encoded as S3 wants it."""
        if self._checksum is None:
            return None
        value = self._checksum.of(body, 0)
        self._parts[number] = (value, len(body))
        return self._checksum.encode(value)

    def whole(self) -> int:
        """Of all parts so far, as an integer."""
        whole = self._begin
        if self._checksum is not None:
            for _, (value, size) in sorted(self._parts.items()):
                whole = self._checksum.combine(whole, value, size)
        return whole

    def encoded(self) -> str | None:
        """Of all parts, encoded as S3 wants it."""
        return self._checksum.encode(self.whole()) if self._checksum else None


CRC64NVME = PartChecksum("CRC64NVME", 8, checksums.crc64nvme, checksums.combine_crc64nvme)
CRC32 = PartChecksum("CRC32", 4, checksums.crc32, checksums.combine_crc32)

# The values of the setting `part_checksum`. "none" is for stores that know no whole-object checksums.
PART_CHECKSUMS: dict[str, PartChecksum | None] = {"crc64nvme": CRC64NVME, "crc32": CRC32, "none": None}
