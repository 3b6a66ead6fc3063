"""A transfer that is stopped at any byte and taken up again is the same transfer."""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiceway.errors import OutOfTimeError
from sluiceway.transfer.checkpoint import Checkpoint, Position
from sluiceway.transfer.checksum import CRC32
from sluiceway.transfer.pipeline import Outcome, Paused, Transfer
from sluiceway.transfer.plan import Limits, Plan, plan_parts
from sluiceway.transfer.resumable import resumable_hash
from sluiceway.transfer.verify import Expectation

MIN_PART = 5


class MemorySource:
    """A body in memory, read from `offset` on, at most `step` bytes at a time."""

    def __init__(self, body: bytes, offset: int, step: int, *, tells: bool) -> None:
        self._body, self._at, self._step = body, offset, step
        self.length = len(body) if tells else None

    def readinto(self, view: memoryview) -> int:
        piece = self._body[self._at : self._at + min(self._step, len(view))]
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


class MemoryS3:
    """Honours the sink's contract: parts by number, the 5-byte rule for all but the last, the whole-object CRC."""

    def __init__(self) -> None:
        self.parts: dict[int, bytes] = {}
        self.stored: bytes | None = None

    def put_whole(self, body: memoryview, checksum: str | None, digests: Mapping[str, str]) -> str:
        assert checksum == CRC32.encode(zlib.crc32(body))
        self.stored = bytes(body)
        return "whole"

    def put_part(self, number: int, body: memoryview, checksum: str | None) -> None:
        assert checksum == CRC32.encode(zlib.crc32(body))
        self.parts[number] = bytes(body)

    def complete(self, size: int, checksum: str | None) -> str:
        numbers = sorted(self.parts)
        assert numbers == list(range(1, len(numbers) + 1))
        assert all(len(self.parts[number]) >= MIN_PART for number in numbers[:-1])
        self.stored = b"".join(self.parts[number] for number in numbers)
        assert size == len(self.stored) and checksum == CRC32.encode(zlib.crc32(self.stored))
        return "complete"


def stop_after(reads: int) -> Callable[[float], bool]:
    left = reads

    def is_short(in_flight_seconds: float) -> bool:
        nonlocal left
        left -= 1
        return left < 0

    return is_short


@given(
    body=st.binary(max_size=120),
    part=st.integers(MIN_PART, 20),
    step=st.integers(1, 30),
    stops=st.lists(st.integers(0, 12), max_size=6),
    tells=st.booleans(),
)
def test_any_stops_give_the_same_object_and_digests(
    body: bytes, part: int, step: int, stops: list[int], tells: bool
) -> None:
    s3, checkpoint = MemoryS3(), None
    # As few parts as hold the body: a part that a stop cuts short must be made up for by larger ones.
    limits = Limits(MIN_PART, 1000, max(1, -(-len(body) // part)), 1000)
    expectation = Expectation(len(body), {"caller": {"md5": hashlib.md5(body).hexdigest()}})
    for stop in [*map(stop_after, stops), stop_after(10**6)]:
        begin = checkpoint.position if checkpoint else None
        offset, first_part = (begin.offset, begin.next_part) if begin else (0, 1)
        source = MemorySource(body, offset, step, tells=tells)
        plan = plan_parts(
            source.length, memory_bytes=10_000, uploaders=2, part_bytes=part, max_file_bytes=len(body), limits=limits,
            first_part=first_part, offset=offset,
        )  # fmt: skip
        outcome = Transfer(
            source, s3, plan, expectation, uploaders=2, max_bytes=1000, checksum=CRC32, stop=stop, begin=begin
        ).run()
        if isinstance(outcome, Outcome):
            break
        assert s3.stored is None
        carried = json.dumps(Checkpoint(outcome.position).to_dict())
        assert len(carried) < 4096
        checkpoint = Checkpoint.from_dict(json.loads(carried))
    assert isinstance(outcome, Outcome)
    assert s3.stored == body
    assert outcome.bytes == len(body)
    assert outcome.digests["sha256"] == hashlib.sha256(body).hexdigest()
    assert outcome.verified_by == ("caller:size", "caller:md5")


def test_a_pause_below_the_smallest_part_gives_the_bytes_back() -> None:
    body, s3 = bytes(range(30)), MemoryS3()
    plan = Plan(10, 10, 0, Limits(MIN_PART, 1000, 1000, 1000))
    # 5 reads of 2 bytes fill part 1; the sixth leaves 2 bytes, under the smallest part.
    stop = stop_after(5 + 1 + 1)
    paused = Transfer(
        MemorySource(body, 0, 2, tells=True),
        s3,
        plan,
        Expectation(),
        uploaders=1,
        max_bytes=99,
        checksum=CRC32,
        stop=stop,
    ).run()
    assert isinstance(paused, Paused)
    assert paused.position.offset == 10 == len(s3.parts[1])
    assert paused.position.next_part == 2


class LateSource(MemorySource):
    """What it should send after `offset` bytes comes too late."""

    late_at = 17

    def readinto(self, view: memoryview) -> int:
        if self._at >= self.late_at:
            raise OutOfTimeError("too late")
        return super().readinto(view)


def transfer_of(source: MemorySource, s3: MemoryS3, stop: Callable[[float], bool] | None) -> Transfer:
    plan = Plan(10, 10, 0, Limits(MIN_PART, 1000, 1000, 1000))
    return Transfer(source, s3, plan, Expectation(), uploaders=1, max_bytes=99, checksum=CRC32, stop=stop)


def test_a_source_that_is_late_pauses_the_transfer_with_what_has_come() -> None:
    body, s3 = bytes(range(30)), MemoryS3()

    paused = transfer_of(LateSource(body, 0, 1, tells=True), s3, lambda _: False).run()

    # 17 bytes: a part of 10 and one of the 7 that had come.
    assert isinstance(paused, Paused) and paused.error is None
    assert (paused.position.offset, paused.position.next_part, s3.stored) == (17, 3, None)
    digest = resumable_hash("sha256", paused.position.states["sha256"])
    digest.update(memoryview(body)[17:])
    assert digest.hexdigest() == hashlib.sha256(body).hexdigest()


def test_without_a_next_invocation_a_late_source_is_an_error() -> None:
    with pytest.raises(OutOfTimeError):
        transfer_of(LateSource(bytes(30), 0, 1, tells=True), MemoryS3(), None).run()


def test_who_is_asked_whether_to_stop_knows_how_long_the_parts_in_flight_may_take() -> None:
    class SlowS3(MemoryS3):
        def put_part(self, number: int, body: memoryview, checksum: str | None) -> None:
            time.sleep(0.05)
            super().put_part(number, body, checksum)

    told: list[float] = []
    outcome = transfer_of(MemorySource(bytes(80), 0, 10, tells=True), SlowS3(), lambda s: bool(told.append(s))).run()

    assert isinstance(outcome, Outcome)
    assert told[0] == 0.0
    # The slowest part, and another behind it.
    assert told[-1] >= 2 * 0.05


@given(stops=st.lists(st.integers(10, 40), min_size=1, max_size=30))
def test_a_file_that_fills_every_part_outlasts_any_number_of_pauses(stops: list[int]) -> None:
    """As a file of 5.37 TB in functions that hold a ten-thousandth of it, and no more."""
    limits = Limits(MIN_PART, 1000, 8, 1000)
    memory_bytes, largest = 100, 10
    body, s3, begin = bytes(range(8 * largest)), MemoryS3(), Position()
    for stop in [*map(stop_after, stops), stop_after(10**6)]:
        plan = plan_parts(
            len(body), memory_bytes=memory_bytes, uploaders=2, limits=limits,
            first_part=begin.next_part, offset=begin.offset,
        )  # fmt: skip
        assert plan.part_bytes <= largest
        source = MemorySource(body, begin.offset, 1, tells=True)
        outcome = Transfer(
            source, s3, plan, Expectation(), uploaders=2, max_bytes=1000, checksum=CRC32, stop=stop, begin=begin
        ).run()
        if isinstance(outcome, Outcome):
            break
        begin = outcome.position
    assert isinstance(outcome, Outcome)
    assert s3.stored == body
