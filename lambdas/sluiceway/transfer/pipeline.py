"""The whole story of a transfer: source -> digest -> part -> sink, one pass, constant memory.

Knows two small protocols and nothing of who stands behind them: not HTTP, not S3. Nothing becomes visible before
size and digests agree with everything stated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sluiceway.errors import TooLargeError
from sluiceway.transfer.buffers import Buffer, Uploaders
from sluiceway.transfer.checksum import PartChecksum
from sluiceway.transfer.digest import Digester
from sluiceway.transfer.plan import Plan
from sluiceway.transfer.verify import Expectation


class Source(Protocol):
    """`length` is announced, in bytes, or None. `readinto` returns how many bytes it wrote, 0 at the end; it raises
    when the body ends before its announced length."""

    @property
    def length(self) -> int | None: ...
    def readinto(self, view: memoryview, /) -> int: ...


class Sink(Protocol):
    """One upload. Checksums are encoded as S3 wants them, or None. `put_whole` and `complete` return the ETag and
    make the object visible; whoever made the sink aborts it when neither happened."""

    def put_whole(self, body: memoryview, checksum: str | None) -> str: ...
    def put_part(self, number: int, body: memoryview, checksum: str | None) -> None: ...
    def complete(self, size: int, checksum: str | None) -> str: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a transfer that made an object visible. Seconds: waiting for the source, for a free buffer, hashing."""

    bytes: int
    digests: dict[str, str]
    etag: str
    parts: int
    verified_by: tuple[str, ...]
    source_wait_seconds: float
    sink_wait_seconds: float
    hash_seconds: float


class Transfer:
    """One file from `source` to `sink`. Raises TooLargeError, IntegrityError, PlanError and whatever the source and
    the sink raise; then nothing has become visible."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        plan: Plan,
        expectation: Expectation,
        *,
        uploaders: int,
        max_bytes: int,
        checksum: PartChecksum | None,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        self._source, self._sink, self._plan, self._expectation = source, sink, plan, expectation
        self._max_bytes, self._checksum, self._on_progress = max_bytes, checksum, on_progress
        self._digester = Digester({"sha256", *expectation.algorithms})
        self._uploads = Uploaders(self._send, uploaders)
        self._part_checksums: dict[int, tuple[int, int]] = {}
        self._count = 0
        self._source_seconds = self._hash_seconds = 0.0

    def run(self) -> Outcome:
        self._expectation.check_announced(self._source.length)
        self._check_size(self._source.length or 0)
        try:
            with self._uploads:
                return self._move()
        finally:
            self._digester.close()

    def _move(self) -> Outcome:
        number = 1
        buffer, filled, ended = self._fill(number)
        if ended:
            digests, agreed = self._verify()
            body = buffer.view(filled)
            etag = self._sink.put_whole(body, self._encode(self._checksum.of(body, 0)) if self._checksum else None)
            return self._outcome(digests, agreed, etag, 1)
        while filled:
            self._uploads.submit(number, buffer, filled)
            if ended:
                break
            number += 1
            buffer, filled, ended = self._fill(number)
        digests, agreed = self._verify()
        self._uploads.drain()
        etag = self._sink.complete(self._count, self._whole_checksum())
        return self._outcome(digests, agreed, etag, len(self._part_checksums))

    def _fill(self, number: int) -> tuple[Buffer, int, bool]:
        """Reads part `number` into a buffer: the buffer, its bytes, and whether the body ended in it."""
        buffer = self._uploads.take_buffer()
        view = buffer.view(self._part_bytes(number))
        filled = 0
        while filled < len(view):
            began = time.perf_counter()
            got = self._source.readinto(view[filled:])
            read = time.perf_counter()
            self._source_seconds += read - began
            if not got:
                return buffer, filled, True
            self._count += got
            self._check_size(self._count)
            self._digester.update(view[filled : filled + got])
            self._hash_seconds += time.perf_counter() - read
            filled += got
            if self._on_progress is not None:
                self._on_progress(self._count)
        return buffer, filled, self._count == self._source.length

    def _part_bytes(self, number: int) -> int:
        size = self._plan.bytes_of_part(number)
        length = self._source.length
        return size if length is None else min(size, max(1, length - self._count))

    def _check_size(self, count: int) -> None:
        if count > self._max_bytes:
            raise TooLargeError(f"the file has {count} bytes or more; max_file_bytes is {self._max_bytes}")

    def _verify(self) -> tuple[dict[str, str], tuple[str, ...]]:
        digests = self._digester.hexdigests()
        return digests, self._expectation.verify(self._count, digests)

    def _send(self, number: int, body: memoryview) -> None:
        value = self._checksum.of(body, 0) if self._checksum else 0
        self._part_checksums[number] = (value, len(body))
        self._sink.put_part(number, body, self._encode(value))

    def _whole_checksum(self) -> str | None:
        if self._checksum is None:
            return None
        whole = 0
        for number in sorted(self._part_checksums):
            value, size = self._part_checksums[number]
            whole = self._checksum.combine(whole, value, size)
        return self._encode(whole)

    def _encode(self, value: int) -> str | None:
        return self._checksum.encode(value) if self._checksum else None

    def _outcome(self, digests: dict[str, str], agreed: tuple[str, ...], etag: str, parts: int) -> Outcome:
        return Outcome(
            bytes=self._count,
            digests=digests,
            etag=etag,
            parts=parts,
            verified_by=agreed,
            source_wait_seconds=self._source_seconds,
            sink_wait_seconds=self._uploads.wait_seconds,
            hash_seconds=self._hash_seconds,
        )
