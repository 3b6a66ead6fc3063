"""What a step has written so far and its next invocation goes on with: small whole objects in the jobs bucket.

Knows bytes kept in order, and records of one width given back sorted. What was not saved costs no request, and what
was saved is never changed: an invocation that is repeated starts from the same pieces. Refuses to know what the bytes
mean.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sluiceway.job_files import get_bytes
from sluiceway.sink.storage import upload_buffer

if TYPE_CHECKING:
    from sluiceway.wiring import Services

PIECE_BYTES = 8 * 1024**2
# What is sorted in memory; as many again lie beside it while they are written.
RUN_RECORDS = 100_000
# What is kept of each sorted run while all are merged.
MERGE_BYTES = 256 * 1024
STREAM_BYTES = 256 * 1024

# Keys and lengths of the objects, in the order of their bytes: what a checkpoint holds.
Saved: TypeAlias = "Sequence[tuple[str, int]]"


class Pieces:
    """Bytes in the order they were written. `folder` leads the keys of what this invocation saves and must be its own;
    `saved` is what `save` said in the one before. Raises SinkError."""

    def __init__(self, services: Services, folder: str, name: str, saved: Saved = ()) -> None:
        self._services, self._stem = services, f"{folder}{name}-"
        self._saved = [(str(key), int(size)) for key, size in saved]
        self._pending = bytearray()
        self.size = sum(size for _, size in self._saved)

    def write(self, data: bytes) -> None:
        self._pending += data
        self.size += len(data)
        if len(self._pending) >= PIECE_BYTES:
            self.save()

    def save(self) -> list[tuple[str, int]]:
        """Puts what is pending; answers with what names everything written so far."""
        if self._pending:
            _put(self._services, self._stem, self._saved, bytes(self._pending))
            self._pending.clear()
        return list(self._saved)

    def read(self) -> Iterator[bytes]:
        """Everything written so far, in blocks of no particular length."""
        yield from read_pieces(self._services, self._saved)
        if self._pending:
            yield bytes(self._pending)

    def stream(self) -> io.BufferedReader[Any]:
        """Everything written so far, as a file."""
        return io.BufferedReader(_Blocks(self.read()), STREAM_BYTES)

    def records(self, width: int) -> Iterator[bytes]:
        """Everything written so far, cut into `width` bytes each."""
        return _cut(self.read(), width)


class SortedRecords:
    """Records of `width` bytes, given back in the order of their bytes. Keeps RUN_RECORDS of them in memory."""

    def __init__(self, services: Services, folder: str, name: str, width: int, saved: Saved = ()) -> None:
        self._services, self._stem, self._width = services, f"{folder}{name}-", width
        self._saved = [(str(key), int(size)) for key, size in saved]
        self._pending: list[bytes] = []

    def add(self, record: bytes) -> None:
        self._pending.append(record)
        if len(self._pending) >= RUN_RECORDS:
            self.save()

    def save(self) -> list[tuple[str, int]]:
        """As Pieces.save: each object is a sorted run."""
        if self._pending:
            _put(self._services, self._stem, self._saved, b"".join(sorted(self._pending)))
            self._pending.clear()
        return list(self._saved)

    def merged(self) -> Iterator[bytes]:
        runs = [_cut(self._ranges(*each), self._width) for each in self._saved]
        return heapq.merge(*runs, sorted(self._pending))

    def _ranges(self, key: str, size: int) -> Iterator[bytes]:
        # One request a range: a hundred open replies would each wait for their turn and be closed by S3.
        for start in range(0, size, MERGE_BYTES):
            length = min(MERGE_BYTES, size - start)
            yield get_bytes(self._services, self._services.config.jobs_bucket, key, start=start, length=length)


class _Blocks(io.RawIOBase):
    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks, self._rest = blocks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any, /) -> int:
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def read_pieces(services: Services, saved: Saved) -> Iterator[bytes]:
    """The bytes of saved pieces, one piece at a time. Raises SinkError."""
    for key, _ in saved:
        yield get_bytes(services, services.config.jobs_bucket, key)


def _put(services: Services, stem: str, saved: list[tuple[str, int]], data: bytes) -> None:
    key = f"{stem}{len(saved):06}"
    upload_buffer(services.s3, services.config.jobs_bucket, key, data, content_type="application/octet-stream")
    saved.append((key, len(data)))


def _cut(blocks: Iterable[bytes], width: int) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        block = rest + block
        whole = len(block) - len(block) % width
        for begin in range(0, whole, width):
            yield block[begin : begin + width]
        rest = block[whole:]
