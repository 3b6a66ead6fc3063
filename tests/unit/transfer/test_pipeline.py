"""The pipeline, byte by byte, between a source and a sink in memory and with limits of a few bytes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiceway.errors import (
    DigestMismatchError,
    LengthMismatchError,
    PlanError,
    SinkError,
    SluicewayError,
    SourceTruncatedError,
    TooLargeError,
)
from sluiceway.transfer import pipeline
from sluiceway.transfer.checksum import PART_CHECKSUMS, PartChecksum
from sluiceway.transfer.pipeline import Transfer
from sluiceway.transfer.plan import Limits, Plan, plan_parts
from sluiceway.transfer.verify import Expectation
from tests.unit.transfer.in_memory import LIMITS, MemorySink, MemorySource, move


@given(
    body=st.binary(max_size=200),
    part=st.integers(5, 60),
    step=st.integers(1, 70),
    tells=st.booleans(),
    uploaders=st.integers(1, 3),
    checksum=st.sampled_from(list(PART_CHECKSUMS.values())),
)
def test_the_object_is_the_body_whatever_the_sizes(
    body: bytes, part: int, step: int, tells: bool, uploaders: int, checksum: PartChecksum | None
) -> None:
    source, sink, seen = MemorySource(body, step=step, tells=tells), MemorySink(checksum), list[int]()
    outcome = move(source, sink, plan=Plan(part, part, 0, LIMITS), uploaders=uploaders, checksum=checksum, seen=seen)
    assert sink.stored == body
    assert outcome.bytes == len(body)
    assert outcome.digests == {"sha256": hashlib.sha256(body).hexdigest()}
    assert outcome.parts == max(1, len(sink.parts))
    assert all(len(sink.parts[number]) == part for number in sorted(sink.parts)[:-1])
    assert seen == sorted(seen)
    assert seen[-1:] == ([len(body)] if body else [])


@pytest.mark.parametrize(
    ("size", "tells", "calls"),
    [
        (0, True, ["put_whole"]),
        (0, False, ["put_whole"]),
        (1, True, ["put_whole"]),
        (9, True, ["put_whole"]),
        (10, True, ["put_whole"]),
        (9, False, ["put_whole"]),
        # Only by reading on does it show that ten bytes were all: by then they are a part.
        (10, False, ["put_part", "complete"]),
        (11, True, ["put_part", "put_part", "complete"]),
        (20, True, ["put_part", "put_part", "complete"]),
        (21, False, ["put_part", "put_part", "put_part", "complete"]),
    ],
)
def test_a_body_within_one_part_of_ten_bytes_is_one_request(size: int, tells: bool, calls: list[str]) -> None:
    sink = MemorySink(None)
    outcome = move(MemorySource(bytes(size), tells=tells), sink)
    assert sink.calls == calls
    assert outcome.etag == ("etag-whole" if calls == ["put_whole"] else "etag-parts")


@pytest.mark.parametrize(
    ("size", "tells", "views"),
    [
        (1000, True, [1000]),
        (6000, True, [6000]),
        # The second part is what is left of the file, whatever a part may have.
        (6001, True, [6000, 1]),
        (1000, False, [6000, 5000]),
    ],
)
def test_memory_is_asked_for_by_what_is_announced_not_by_the_part(size: int, tells: bool, views: list[int]) -> None:
    source = MemorySource(bytes(size), step=size, tells=tells)
    limits = Limits(min_part_bytes=5, max_part_bytes=6000, max_parts=100, max_single_put_bytes=6000)
    move(source, MemorySink(None), plan=Plan(6000, 6000, 0, limits), max_bytes=10_000)
    assert source.views == views


def test_parts_grow_as_planned_when_the_length_is_unknown() -> None:
    body = bytes(range(256))
    plan = plan_parts(None, memory_bytes=10**6, uploaders=2, part_bytes=5, max_file_bytes=90_000, limits=LIMITS)
    sink = MemorySink(None)
    move(MemorySource(body, tells=False), sink, plan=plan)
    assert sink.stored == body
    sizes = [len(sink.parts[number]) for number in sorted(sink.parts)]
    assert sizes == [*(plan.bytes_of_part(number) for number in range(1, len(sizes))), sizes[-1]]
    assert sizes[0] == 5 and max(sizes) > 5


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("size", [7, 47])
@pytest.mark.parametrize(
    ("expectation", "error"),
    [
        (Expectation(None, {"caller": {"sha256": "00" * 32}}), DigestMismatchError),
        (Expectation(None, {"source": {"crc32c": "00000000"}}), DigestMismatchError),
        (Expectation(size=46), LengthMismatchError),
    ],
)
def test_a_file_that_is_not_what_was_stated_never_becomes_visible(
    expectation: Expectation, error: type[SluicewayError], size: int, tells: bool
) -> None:
    sink = MemorySink(None)
    with pytest.raises(error):
        move(MemorySource(b"x" * size, tells=tells), sink, expectation=expectation)
    assert sink.stored is None
    assert not {"put_whole", "complete"} & set(sink.calls)


def test_a_length_that_contradicts_the_stated_size_ends_the_transfer_before_a_byte_is_read() -> None:
    source = MemorySource(bytes(47))
    with pytest.raises(LengthMismatchError):
        move(source, MemorySink(None), expectation=Expectation(size=48))
    assert source.read == 0


@pytest.mark.parametrize(
    ("size", "tells", "fine"),
    [(30, True, True), (30, False, True), (31, True, False), (31, False, False), (500, False, False)],
)
def test_max_file_bytes_holds_by_announcement_and_by_count(size: int, tells: bool, fine: bool) -> None:
    source, sink = MemorySource(bytes(size), tells=tells, step=4), MemorySink(None)
    if fine:
        assert move(source, sink, max_bytes=30).bytes == size
        return
    with pytest.raises(TooLargeError, match="max_file_bytes is 30"):
        move(source, sink, max_bytes=30)
    assert sink.stored is None
    assert source.read == 0 if tells else source.read <= 30 + 4


def test_everything_stated_is_computed_and_named() -> None:
    body = bytes(range(100))
    stated = {
        "caller": {"sha256": hashlib.sha256(body).hexdigest(), "md5": hashlib.md5(body).hexdigest()},
        "source": {"sha1": hashlib.sha1(body).hexdigest()},
    }
    outcome = move(MemorySource(body), MemorySink(None), expectation=Expectation(100, stated))
    assert outcome.verified_by == ("caller:size", "caller:sha256", "caller:md5", "source:sha1")
    assert set(outcome.digests) == {"sha256", "md5", "sha1"}


@pytest.mark.parametrize("breaks_at", [0, 5, 10, 42])
def test_an_error_of_the_source_passes_through_and_nothing_becomes_visible(breaks_at: int) -> None:
    sink = MemorySink(None)
    with pytest.raises(SourceTruncatedError, match="the body ended after"):
        move(MemorySource(bytes(47), breaks_at=breaks_at), sink)
    assert sink.stored is None


@pytest.mark.parametrize("fails_at", [1, 3, 5])
@pytest.mark.parametrize("uploaders", [1, 2, 4])
def test_an_error_of_the_sink_passes_through_and_nothing_becomes_visible(fails_at: int, uploaders: int) -> None:
    sink = MemorySink(None, fails_at=fails_at)
    with pytest.raises(SinkError, match="the sink broke"):
        move(MemorySource(bytes(47)), sink, uploaders=uploaders)
    assert sink.stored is None


def test_a_broken_sink_stops_the_reading_of_a_long_body() -> None:
    sink, source = MemorySink(None, fails_at=1), MemorySource(bytes(900), step=10)
    with pytest.raises(SinkError):
        move(source, sink, uploaders=1)
    # Two buffers, and the one being filled when the error came.
    assert source.read <= 40


def test_a_file_beyond_the_last_part_is_refused_and_not_stored() -> None:
    limits = Limits(min_part_bytes=5, max_part_bytes=5, max_parts=3, max_single_put_bytes=5)
    plan = plan_parts(None, memory_bytes=0, uploaders=1, max_file_bytes=100, limits=limits)
    sink = MemorySink(None)
    with pytest.raises(PlanError, match="more than 3 parts"):
        move(MemorySource(bytes(16), tells=False), sink, plan=plan)
    assert sink.stored is None
    assert len(sink.parts) <= 3


def test_no_thread_outlives_a_transfer_that_ended_or_broke() -> None:
    before = threading.active_count()
    move(MemorySource(bytes(47)), MemorySink(None), expectation=Expectation(None, {}))
    with pytest.raises(SinkError):
        move(MemorySource(bytes(47)), MemorySink(None, fails_at=2))
    assert threading.active_count() == before


class Clock:
    """A clock that only those move who take time."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize(("size", "source"), [(9, 3), (10, 4), (25, 10)])
def test_each_wait_is_counted_where_it_belongs(size: int, source: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(pipeline, "time", clock)

    class SlowSource(MemorySource):
        def readinto(self, view: memoryview, /) -> int:
            clock.now += 1
            return super().readinto(view)

    class SlowSink(MemorySink):
        def put_whole(self, body: memoryview, checksum: str | None, digests: Mapping[str, str] | None = None) -> str:
            clock.now += 1000
            return super().put_whole(body, checksum, digests)

        def complete(self, size: int, checksum: str | None) -> str:
            clock.now += 1000
            return super().complete(size, checksum)

    body, plan = SlowSource(bytes(size), step=3), Plan(10, 10, 0, LIMITS)
    transfer = Transfer(body, SlowSink(None), plan, Expectation(), uploaders=2, max_bytes=1000, checksum=None)
    transfer.run()
    waits = transfer.waits
    assert waits.source == source
    assert waits.hash == 0
    assert 1000 <= waits.sink < 1010


@pytest.mark.parametrize(("cores", "threads"), [(0, 0), (1, 0), (2, 1)])
def test_a_second_digest_is_taken_beside_the_first_on_the_cores_that_the_transfer_is_given(
    cores: int, threads: int
) -> None:
    def count(_: int) -> None:
        seen.append(sum(thread.name.startswith("digest") for thread in threading.enumerate()))

    seen: list[int] = []
    stated = {"caller": {"md5": hashlib.md5(b"body").hexdigest()}}
    Transfer(
        MemorySource(b"body", step=4),
        MemorySink(None),
        Plan(10, 10, 0, LIMITS),
        Expectation(None, stated),
        uploaders=1,
        max_bytes=10,
        checksum=None,
        on_progress=count,
        cores=cores,
    ).run()
    assert seen == [threads]
