"""What was measured stays with a file that is moved in segments: it adds up over its beginning, its segments and their
relays, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sluiceway.errors import SinkDeniedError, SourceStatusError
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState
from sluiceway.landing.options import Options, Tools
from sluiceway.landing.relaying import TimeLeft
from sluiceway.landing.splitting import SegmentPaused, Split, begin_split, finish_split, move_segment
from sluiceway.landing.tally import PEAK, Measured, Tally
from sluiceway.source.client import Client
from sluiceway.source.policy import UrlPolicy
from sluiceway.source.retry import RetryBudget
from sluiceway.transfer.checkpoint import Position
from sluiceway.transfer.segments import SegmentSum
from tests.faults.harness import BIG, KEY, PART, s3_of
from tests.faults.source import Exchange, Source, Step, serve
from tests.faults.steps import answer
from tests.faults.store import BUCKET, Fault, Store, refuse
from tests.faults.store_rows import SLOW_DOWN

OPTIONS = Options(part_bytes=PART)
EARLY = 1_000_000


def break_off(exchange: Exchange) -> None:
    """EARLY bytes of the range that is asked for, and no more."""
    assert exchange.range is not None
    first, last = exchange.range
    end, total = last + 1 if last is not None else len(BIG.body), len(BIG.body)
    content = {"Content-Range": f"bytes {first}-{end - 1}/{total}", "Content-Length": end - first}
    exchange.head(206, {**BIG.headers(), **content})
    exchange.raw(BIG.piece(first, first + EARLY))
    exchange.end()


@contextmanager
def world(landed: Path, *steps: Step) -> Iterator[tuple[FileTask, Tools, Store]]:
    with Store(landed) as store, Source(list(steps)) as source:
        client = Client(UrlPolicy([source.host]), budget=RetryBudget(sleep=lambda seconds: None))
        yield FileTask(source.url(), BUCKET, KEY), Tools(client, s3_of(store)), store
        client.close()


def begun(task: FileTask, tools: Tools) -> Split:
    split = begin_split(task, OPTIONS, tools, split_bytes=PART, segment_bytes=2 * PART)
    assert isinstance(split, Split) and split.segments == 2
    return split


def moved(task: FileTask, tools: Tools, split: Split, n: int, position: Position | None = None) -> SegmentSum:
    total = move_segment(task, OPTIONS, tools, split, n, position)
    assert isinstance(total, SegmentSum)
    return total


def until(count: int, tools: Tools) -> Tools:
    """Time is up once so many bytes of the file have come."""
    time_left = TimeLeft(float("inf"))
    return replace(tools, time_left=time_left, on_progress=lambda got: time_left.end_now() if got > count else None)


def test_a_split_file_keeps_what_every_function_took(landed: Path) -> None:
    steps = [
        *(serve(BIG), answer(503), serve(BIG)),  # what the source can do
        *(break_off, serve(BIG)),  # the first segment, until its time is up
        *(answer(503), serve(BIG), serve(BIG)),  # the rest of it, and the second
    ]
    begin, first, second = Tally(), Tally(), Tally()
    with world(landed, *steps) as (task, tools, store):
        store.faults += [Fault(name, SLOW_DOWN) for name in ("create", "part-1", "part-2", "part-3", "complete")]
        split = begun(task, replace(tools, tally=begin))
        paused = move_segment(task, OPTIONS, until(PART, replace(tools, tally=first)), split, 0)
        assert isinstance(paused, SegmentPaused) and paused.position.offset == PART
        before = replace(first.measured(), relays=1)
        rest = Tally.of(before)
        sums = [
            moved(task, replace(tools, tally=rest), split, 0, paused.position),
            moved(task, replace(tools, tally=second), split, 1),
        ]
        taken = sum((tally.measured() for tally in (begin, rest, second)), Measured())
        result = finish_split(task, OPTIONS, replace(tools, tally=Tally.of(taken)), split, sums)
        assert store.object(KEY) == BIG.body
    assert (result.state, result.segments, result.relays) == (FileState.STORED, 2, 1)
    assert (result.source_resumes, result.part_retries) == (3, 5)
    assert (before.counts["source_resumes"], before.counts["part_retries"]) == (1, 1)
    assert rest.measured().seconds["hash"] > before.seconds["hash"] > 0
    assert result.source_wait_seconds == pytest.approx(taken.seconds["source"])
    assert result.sink_wait_seconds > taken.seconds["sink"] > begin.measured().seconds["sink"] > 0
    assert result.hash_seconds == pytest.approx(taken.seconds["hash"])
    assert result.seconds > taken.seconds["total"] > rest.measured().seconds["total"] > 0
    assert result.peak_memory_bytes >= taken.counts[PEAK] > 0
    assert result.source_validator == BIG.etag


@pytest.mark.parametrize(("steps", "resumes"), [((answer(404),), 0), ((serve(BIG), answer(503), answer(404)), 1)])
def test_a_split_that_its_source_refuses_tells_what_asking_took(
    landed: Path, steps: tuple[Step, ...], resumes: int
) -> None:
    tally = Tally()
    with world(landed, *steps) as (task, tools, _), pytest.raises(SourceStatusError):
        begin_split(task, OPTIONS, replace(tools, tally=tally), split_bytes=PART, segment_bytes=2 * PART)
    taken = tally.measured()
    assert taken.counts.get("source_resumes", 0) == resumes
    assert taken.seconds["total"] >= taken.seconds["source"] > 0


def test_a_segment_that_fails_tells_what_it_took(landed: Path) -> None:
    tally = Tally()
    with world(landed, serve(BIG), serve(BIG), break_off, answer(503), answer(404)) as (task, tools, _):
        split = begun(task, tools)
        with pytest.raises(SourceStatusError):
            move_segment(task, OPTIONS, replace(tools, tally=tally), split, 0)
    taken = tally.measured()
    assert taken.counts["source_resumes"] == 2
    assert min(taken.seconds["source"], taken.seconds["hash"]) > 0
    assert taken.seconds["total"] >= taken.seconds["source"] + taken.seconds["hash"]


def test_a_split_file_that_is_refused_in_the_end_keeps_what_it_took(landed: Path) -> None:
    with world(landed, *[serve(BIG)] * 4) as (task, tools, store):
        split = begun(task, tools)
        segments = Tally()
        segments.resumed()
        sums = [moved(task, replace(tools, tally=segments), split, n) for n in range(2)]
        tally = Tally.of(segments.measured())
        store.faults.append(Fault("complete", refuse(403, "AccessDenied")))
        with pytest.raises(SinkDeniedError):
            finish_split(task, OPTIONS, replace(tools, tally=tally), split, sums)
        assert store.object(KEY) is None
    failed = tally.on(FileResult(FileState.FAILED))
    assert failed.source_resumes == 1
    assert failed.sink_wait_seconds > segments.measured().seconds["sink"]
    assert failed.hash_seconds == pytest.approx(segments.measured().seconds["hash"])
