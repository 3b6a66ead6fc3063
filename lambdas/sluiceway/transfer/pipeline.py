"""The whole story of a transfer: source -> digest -> part -> sink, one pass, constant memory.

Knows two small protocols and nothing of who stands behind them: not HTTP, not S3. Nothing becomes visible before
size and digests agree with everything stated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, cast

from sluiceway.errors import OutOfTimeError, SourceError
from sluiceway.transfer.buffers import Buffer, Uploaders
from sluiceway.transfer.checkpoint import Position
from sluiceway.transfer.checksum import PartChecksum, PartSums
from sluiceway.transfer.digest import Digester
from sluiceway.transfer.plan import Plan
from sluiceway.transfer.resumable import ResumableHash, resumable_hash
from sluiceway.transfer.verify import Expectation, check_size


class Source(Protocol):
    """`length` is announced, in bytes, or None. `readinto` returns how many bytes it wrote, 0 at the end; it raises
    when the body ends before its announced length, and OutOfTimeError when what it waits for comes too late."""

    @property
    def length(self) -> int | None: ...
    def readinto(self, view: memoryview, /) -> int: ...


class Sink(Protocol):
    """One upload. Checksums are encoded as S3 wants them, or None; digests are lower-case hex. `put_whole` and
    `complete` return the ETag and make the object visible; whoever made the sink aborts it when neither happened."""

    def put_whole(self, body: memoryview, checksum: str | None, digests: Mapping[str, str]) -> str: ...
    def put_part(self, number: int, body: memoryview, checksum: str | None) -> None: ...
    def complete(self, size: int, checksum: str | None) -> str: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a transfer that made an object visible."""

    bytes: int
    digests: dict[str, str]
    etag: str
    parts: int
    verified_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds a transfer spent waiting for the source, waiting for the sink (for a free buffer, and for the object to
    become visible), and hashing."""

    source: float
    sink: float
    hash: float


@dataclass(frozen=True, slots=True)
class Paused:
    """Of a transfer that was told to stop, or whose source broke with an `error` that another may mend: everything
    before `position` is in S3's parts."""

    position: Position
    error: SourceError | None = None


class Transfer:
    """One file, or a segment of one, from `source` to `sink`. `algorithms` are the digests taken beside those to be
    verified, on so many `cores` (None: all of this process). `stop`, where given, is asked at every read whether to
    pause, and told the seconds that the parts in flight may take; `is_mendable`, where given, whether an error of the
    source is to pause the transfer rather than to end it; `begin` is where an earlier invocation paused, or the segment
    begins, and the source stands at its offset. `waits` can be asked for afterwards, however it ended. Raises
    TooLargeError, IntegrityError, PlanError and whatever the source and the sink raise; then nothing has become
    visible."""

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
        stop: Callable[[float], bool] | None = None,
        is_mendable: Callable[[SourceError], bool] | None = None,
        begin: Position | None = None,
        algorithms: Iterable[str] = ("sha256",),
        cores: int | None = None,
    ) -> None:
        self._source, self._sink, self._plan, self._expectation = source, sink, plan, expectation
        self._max_bytes, self._on_progress, self._stop = max_bytes, on_progress, stop
        self._is_mendable = is_mendable
        self._error: SourceError | None = None
        self._broke_off = False
        self._begin = begin or Position()
        self._digester = self._new_digester({*algorithms, *expectation.algorithms}, cores)
        self._uploads = Uploaders(self._send, uploaders)
        self._sums = PartSums(checksum, self._begin.checksum)
        self._count = self._begin.offset
        self._mark = self._begin
        self._source_seconds = self._hash_seconds = self._commit_seconds = 0.0

    def run(self) -> Outcome | Paused:
        self._expectation.check_announced(self._source.length)
        check_size(self._source.length or 0, self._max_bytes)
        try:
            with self._uploads:
                return self._move()
        finally:
            self._digester.close()

    def _move(self) -> Outcome | Paused:
        number = self._begin.next_part
        while True:
            buffer, filled, ended = self._fill(number)
            if ended and number == 1:
                return self._put_whole(buffer.view(filled))
            if not ended and self._must_stop():
                return self._pause(number, buffer, filled)
            if filled:
                self._uploads.submit(number, buffer, filled)
                number += 1
            if ended:
                return self._complete(number - 1)

    def _fill(self, number: int) -> tuple[Buffer, int, bool]:
        """Reads part `number` into a buffer: the buffer, its bytes, and whether the body ended in it."""
        if self._may_pause:
            self._mark = self._position(number)
        buffer = self._uploads.take_buffer()
        view = buffer.view(self._part_bytes(number))
        filled = 0
        while filled < len(view) and not self._must_stop():
            began = time.perf_counter()
            try:
                got = self._read(view[filled:])
            finally:
                read = time.perf_counter()
                self._source_seconds += read - began
            if self._broke_off:
                break
            if not got:
                return buffer, filled, True
            self._count += got
            check_size(self._count, self._max_bytes)
            self._digester.update(view[filled : filled + got])
            self._hash_seconds += time.perf_counter() - read
            filled += got
            if self._on_progress is not None:
                self._on_progress(self._count)
        return buffer, filled, self._count == self._source.length

    def _read(self, view: memoryview) -> int:
        """As the source's `readinto`; 0, and `_broke_off` set, where it was late, or broke and another may mend it."""
        try:
            return self._source.readinto(view)
        except OutOfTimeError:
            if self._stop is None:
                raise
        except SourceError as error:
            if self._is_mendable is None or not self._is_mendable(error):
                raise
            self._error = error
        self._broke_off = True
        return 0

    def _put_whole(self, body: memoryview) -> Outcome:
        digests, agreed = self._verify()
        checksum = self._sums.take(1, body)
        etag = self._commit(lambda: self._sink.put_whole(body, checksum, digests))
        return Outcome(self._count, digests, etag, 1, agreed)

    def _complete(self, parts: int) -> Outcome:
        digests, agreed = self._verify()
        self._uploads.drain()
        etag = self._commit(lambda: self._sink.complete(self._count, self._sums.encoded()))
        return Outcome(self._count, digests, etag, parts, agreed)

    def _commit(self, send: Callable[[], str]) -> str:
        """Makes the object visible; returns its ETag. However long that takes is waiting for the sink."""
        began = time.perf_counter()
        try:
            return send()
        finally:
            self._commit_seconds = time.perf_counter() - began

    def _pause(self, number: int, buffer: Buffer, filled: int) -> Paused:
        """Ends at a part's boundary: what is read of part `number` becomes a part of its own where S3 takes one so
        small and parts are left for the rest, else it is dropped and read again."""
        place = self._mark
        if filled >= self._plan.limits.min_part_bytes and self._fits_behind(number):
            self._uploads.submit(number, buffer, filled)
            place = self._position(number + 1)
        self._uploads.drain()
        return Paused(replace(place, checksum=self._sums.whole()), self._error)

    def _fits_behind(self, number: int) -> bool:
        """Whether the parts after `number` can hold what is not read yet; one that is at least where nobody knows."""
        parts, length = self._plan.limits.max_parts - number, self._source.length
        return parts > 0 if length is None else parts * self._plan.largest_part_bytes >= length - self._count

    def _position(self, next_part: int) -> Position:
        hashes = cast("dict[str, ResumableHash]", self._digester.hashes)
        return Position(next_part, self._count, {name: each.state() for name, each in hashes.items()})

    def _new_digester(self, names: set[str], cores: int | None) -> Digester:
        """hashlib's digests, unless this transfer may pause or has paused: then those whose state can be carried."""
        states = self._begin.states
        if not (self._may_pause or states):
            return Digester(names, cores=cores)
        return Digester(names, new=lambda name: resumable_hash(name, states.get(name)), cores=cores)

    @property
    def _may_pause(self) -> bool:
        return self._stop is not None or self._is_mendable is not None

    def _must_stop(self) -> bool:
        return self._broke_off or (self._stop is not None and self._stop(self._uploads.drain_seconds))

    def _part_bytes(self, number: int) -> int:
        size = self._plan.bytes_of_part(number)
        length = self._source.length
        return size if length is None else min(size, max(1, length - self._count))

    def _verify(self) -> tuple[dict[str, str], tuple[str, ...]]:
        digests = self._digester.hexdigests()
        return digests, self._expectation.verify(self._count, digests)

    def _send(self, number: int, body: memoryview) -> None:
        self._sink.put_part(number, body, self._sums.take(number, body))

    @property
    def waits(self) -> Waits:
        sink_seconds = self._uploads.wait_seconds + self._commit_seconds
        return Waits(self._source_seconds, sink_seconds, self._hash_seconds)
