"""A source and a sink in memory, limits of a few bytes, and a transfer from the one to the other."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from sluiceway.errors import SinkError, SourceTruncatedError
from sluiceway.transfer.checksum import PartChecksum
from sluiceway.transfer.pipeline import Outcome, Transfer
from sluiceway.transfer.plan import Limits, Plan
from sluiceway.transfer.verify import Expectation

LIMITS = Limits(min_part_bytes=5, max_part_bytes=1000, max_parts=100, max_single_put_bytes=1000)


class MemorySource:
    """A body in memory, handed out at most `step` bytes at a time; `breaks_at` raises there instead."""

    def __init__(self, body: bytes, *, step: int = 3, tells: bool = True, breaks_at: int | None = None) -> None:
        self._body, self._step, self._breaks_at = body, step, breaks_at
        self.length = len(body) if tells else None
        self.read = 0
        self.views: list[int] = []

    def readinto(self, view: memoryview, /) -> int:
        assert len(view) > 0
        self.views.append(len(view))
        if self._breaks_at is not None and self.read >= self._breaks_at:
            raise SourceTruncatedError(f"the body ended after {self.read} bytes")
        piece = self._body[self.read : self.read + min(self._step, len(view))]
        view[: len(piece)] = piece
        self.read += len(piece)
        return len(piece)


class MemorySink:
    """Keeps parts apart and the object None until it is visible; checks each checksum as S3 does."""

    def __init__(self, checksum: PartChecksum | None, *, fails_at: int | None = None) -> None:
        self._checksum, self._fails_at = checksum, fails_at
        self._lock = threading.Lock()
        self.parts: dict[int, bytes] = {}
        self.stored: bytes | None = None
        self.calls: list[str] = []

    def put_whole(self, body: memoryview, checksum: str | None, digests: Mapping[str, str] | None = None) -> str:
        self._check(body, checksum)
        self.calls.append("put_whole")
        self.stored = bytes(body)
        return "etag-whole"

    def put_part(self, number: int, body: memoryview, checksum: str | None) -> None:
        if number == self._fails_at:
            raise SinkError("the sink broke")
        self._check(body, checksum)
        with self._lock:
            assert number not in self.parts
            self.parts[number] = bytes(body)
            self.calls.append("put_part")

    def complete(self, size: int, checksum: str | None) -> str:
        assert sorted(self.parts) == list(range(1, len(self.parts) + 1))
        body = b"".join(self.parts[number] for number in sorted(self.parts))
        assert size == len(body)
        self._check(memoryview(body), checksum)
        self.calls.append("complete")
        self.stored = body
        return "etag-parts"

    def _check(self, body: memoryview, checksum: str | None) -> None:
        assert checksum == (self._checksum.encode(self._checksum.of(body, 0)) if self._checksum else None)


def move(
    source: MemorySource,
    sink: MemorySink,
    *,
    plan: Plan | None = None,
    expectation: Expectation | None = None,
    uploaders: int = 2,
    max_bytes: int = 1000,
    checksum: PartChecksum | None = None,
    seen: list[int] | None = None,
) -> Outcome:
    outcome = Transfer(
        source,
        sink,
        plan or Plan(10, 10, 0, LIMITS),
        expectation or Expectation(),
        uploaders=uploaders,
        max_bytes=max_bytes,
        checksum=checksum,
        on_progress=seen.append if seen is not None else None,
    ).run()
    assert isinstance(outcome, Outcome)
    return outcome
