"""S3's checksums: computed while bytes pass, compared with what the caller stated, combined over parts.

Knows the five algorithms of the x-amz-checksum-* headers and Content-MD5. Refuses to know about HTTP or files.
Whole-object (FULL_OBJECT) checksums exist for the three CRCs only; the SHAs of a multipart upload are composite:
the digest of the parts' digests, then "-" and their number.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from awscrt import checksums as crt

from local.s3_errors import S3Error

ALGORITHMS = ("crc64nvme", "crc32", "crc32c", "sha256", "sha1")
DEFAULT_ALGORITHM = "crc64nvme"
_CRC_BYTES = {"crc64nvme": 8, "crc32": 4, "crc32c": 4}
_UPDATE: dict[str, Callable[..., int]] = {"crc64nvme": crt.crc64nvme, "crc32": crt.crc32, "crc32c": crt.crc32c}
_COMBINE: dict[str, Callable[[int, int, int], int]] = {
    "crc64nvme": crt.combine_crc64nvme,
    "crc32": crt.combine_crc32,
    "crc32c": crt.combine_crc32c,
}


class Checksums:
    """The named algorithms over one run of bytes, and MD5 unless nobody asks for it: it costs most of all."""

    def __init__(self, algorithms: Iterable[str], *, with_md5: bool = True) -> None:
        wanted = set(algorithms)
        self._crcs = dict.fromkeys(wanted & _CRC_BYTES.keys(), 0)
        self._hashes = {name: hashlib.new(name) for name in wanted - _CRC_BYTES.keys()}
        self._md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None

    def update(self, view: memoryview) -> None:
        if self._md5 is not None:
            self._md5.update(view)
        for name, value in self._crcs.items():
            self._crcs[name] = _UPDATE[name](view, value)
        for digest in self._hashes.values():
            digest.update(view)

    @property
    def etag(self) -> str:
        """The MD5 in hex, else an opaque value of the same shape, made of the checksums, as encrypted objects have."""
        if self._md5 is not None:
            return self._md5.hexdigest()
        return hashlib.md5(repr(sorted(self.values().items())).encode(), usedforsecurity=False).hexdigest()

    def values(self) -> dict[str, str]:
        """Base64, as the headers spell it."""
        crcs = {name: _encode(value.to_bytes(_CRC_BYTES[name], "big")) for name, value in self._crcs.items()}
        return crcs | {name: _encode(digest.digest()) for name, digest in self._hashes.items()}


def stated(headers: Mapping[str, str]) -> dict[str, str]:
    """The x-amz-checksum-* values a caller sent, by algorithm."""
    return {name: headers[f"x-amz-checksum-{name}"] for name in ALGORITHMS if f"x-amz-checksum-{name}" in headers}


def compare(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raises S3Error BadDigest, as S3 does, when a stated value is not the value of the bytes."""
    for name, value in expected.items():
        _check_shape(name, value)
        if found[name] != value:
            raise S3Error("BadDigest", f"The {name.upper()} you specified did not match the calculated checksum.")


def compare_md5(content_md5: str | None, etag: str) -> None:
    if content_md5 is None:
        return
    try:
        expected = base64.b64decode(content_md5, validate=True)
    except binascii.Error:
        expected = b""
    if len(expected) != 16:
        raise S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.")
    if expected.hex() != etag:
        raise S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")


def of_whole(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The FULL_OBJECT checksum from the parts' (base64 value, length in bytes), in order."""
    combined = 0
    for index, (value, length) in enumerate(parts):
        crc = int.from_bytes(base64.b64decode(value), "big")
        combined = crc if index == 0 else _COMBINE[algorithm](combined, crc, length)
    return _encode(combined.to_bytes(_CRC_BYTES[algorithm], "big"))


def of_parts(algorithm: str, values: Sequence[str]) -> str:
    """The COMPOSITE checksum from the parts' base64 values, in order."""
    digest = Checksums([algorithm])
    digest.update(memoryview(b"".join(base64.b64decode(value) for value in values)))
    return f"{digest.values()[algorithm]}-{len(values)}"


def has_whole(algorithm: str) -> bool:
    return algorithm in _CRC_BYTES


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _check_shape(name: str, value: str) -> None:
    length = _CRC_BYTES.get(name) or hashlib.new(name).digest_size
    try:
        good = len(base64.b64decode(value, validate=True)) == length
    except binascii.Error:
        good = False
    if not good:
        raise S3Error("InvalidRequest", f"Value for x-amz-checksum-{name} header is invalid.")
