"""MoveSegment and FinishFile: a large file that several functions move at once, and its end.

Knows the job, the table, when a segment may still begin and when it must stop. Refuses to know how segments are cut and
combined: splitting.py does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sluiceway.aws.file_table import Ended
from sluiceway.aws.rows import ALL_OR_NOTHING, JobRow
from sluiceway.aws.segment_table import SegmentRow
from sluiceway.errors import (
    FileExistsInSinkError,
    JobError,
    SegmentsMissingError,
    SendAgainError,
    SluicewayError,
    SplitOverError,
)
from sluiceway.job_files import tasks_of
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import UNLANDED, FileState
from sluiceway.jobs.units import Unit
from sluiceway.landing.options import Tools
from sluiceway.landing.relaying import TimeLeft
from sluiceway.landing.splitting import SegmentPaused, Split, abort_split, begin_split, finish_split, move_segment
from sluiceway.landing.tally import Measured, Tally
from sluiceway.steps.announcing import announce_files
from sluiceway.steps.fairness import NotNow, Patience
from sluiceway.steps.gates import may_begin
from sluiceway.steps.looking import Lookout
from sluiceway.steps.progress import SharedProgress
from sluiceway.steps.refreshing import awaits_link, retry_link, wants_link
from sluiceway.steps.relays import count_idle
from sluiceway.steps.tools import options_of, reachable, tools_for, with_fresh_access
from sluiceway.transfer.checkpoint import Position
from sluiceway.transfer.segments import MAX_AT_ONCE, SEGMENT_BYTES, SegmentSum
from sluiceway.wiring import Services


@dataclass(frozen=True, slots=True)
class SegmentEvent:
    """What the inner Map hands to one segment: pointers only. `run` is the job's run that the split belongs to, None
    where it was begun before runs were told; `position` is where an earlier invocation paused, `measured` what it and
    those before it took, `idle` how many of them in a row have moved nothing."""

    job_id: str
    execution: str
    unit: Mapping[str, Any]
    split: Mapping[str, Any]
    n: int
    run: int | None = None
    position: Mapping[str, Any] | None = None
    measured: Mapping[str, Any] | None = None
    idle: int = 0

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> SegmentEvent:
        return cls(**{name: event[name] for name in cls.__dataclass_fields__ if name in event})


def try_split(
    services: Services, job: JobRow, task: FileTask, tally: Tally, patience: Patience
) -> Split | FileResult | str:
    """Begins to split a file that asks for it, or says why it must go in one piece, or need not be moved. Raises
    SluicewayError, and NotNow. `tally` has what was measured in either case."""
    if job.commit == ALL_OR_NOTHING:
        return "the job lands all of its files or none, and a split file is visible once it is finished"
    if task.size is not None and task.size <= services.config.split_bytes:
        return f"its {task.size} bytes are not more than split_bytes ({services.config.split_bytes})"
    with patience.turn(task):
        tally.begin(services.source)
        # Of an upload that was given up.
        services.files.remove_progress(job.job_id, task)
        task = reachable(services, job, task)
        split = begin_split(
            task,
            # Of the functions that move the segments, whoever begins the file.
            replace(options_of(services, job), memory_bytes=services.config.file_memory_bytes),
            replace(tools_for(services, job, task), tally=tally),
            split_bytes=services.config.split_bytes,
            segment_bytes=min(SEGMENT_BYTES, services.config.split_bytes),
            large_memory_bytes=services.config.large_memory_bytes,
        )
    if not isinstance(split, Split):
        return split
    services.segments.put(job.job_id, job.run, task, split.attempt, None, None, tally.measured().to_dict())
    return replace(split, at_once=_at_once(services, job))


def _at_once(services: Services, job: JobRow) -> int:
    """Segments of a file: no more functions than its host has slots, or all but those would be paid for waiting."""
    asked = (job.limits.get(name) for name in ("max_concurrency", "max_concurrency_per_host"))
    limits: list[int] = [limit for limit in asked if limit]
    return min(MAX_AT_ONCE, services.config.max_concurrency, *limits)


def move_one_segment(services: Services, event: SegmentEvent, time_left: TimeLeft) -> dict[str, Any] | None:
    """Moves a segment and records its sum and what it took, the latter whatever its end. Answers with None, or with the
    next `action`, CONTINUE (again) or LARGE (by the function with more memory), and what that must be given when time
    ran out: `position`, what was `measured`, and how many invocations in a row were `idle`. A job that takes no more
    bytes gets none: FinishFile then gives up what was sent. Raises SluicewayError, NoProgressError after two idle
    invocations, and SplitOverError when a redriven execution has another run of the job."""
    if event.split.get("large") and services.config.memory_bytes < services.config.large_memory_bytes:
        return {"action": "LARGE"}
    job, task, split = _of(services, event)
    _require_run(job, event)
    if not may_begin(services, job, event.execution):
        return None
    lookout = Lookout(services, job, time_left)
    moved, took = lookout.run(partial(_move, services, event, job, task, split, time_left))
    if lookout.is_stopped:
        _gave_up(services, lookout.job, event, task, split)
        return None
    if isinstance(moved, SegmentSum):
        return None
    again = {"action": "LARGE" if split.large else "CONTINUE"}
    if moved is None:
        return again | {"position": event.position, "measured": event.measured, "idle": 0}
    return again | {
        "position": moved.position.to_dict(),
        "measured": replace(took, relays=took.relays + 1).to_dict(),
        "idle": count_idle(event.idle, moved=moved.moved, what=f"segment {event.n}"),
    }


def _move(
    services: Services,
    event: SegmentEvent,
    job: JobRow,
    task: FileTask,
    split: Split,
    time_left: TimeLeft,
    patience: Patience,
) -> tuple[SegmentSum | SegmentPaused | None, Measured]:
    """What the segment has come to, None where its host had no turn for it, and what it took so far."""
    before = Measured.from_dict(event.measured) if event.measured else Measured()
    tally, position = Tally.of(before), Position.from_dict(event.position) if event.position else None
    begun = position.offset if position else split.segment(event.n).offset
    progress = SharedProgress(services, job.job_id, replace(task, size=split.length), begun)

    def attempt(at: FileTask) -> SegmentSum | SegmentPaused:
        tools = tools_for(services, job, at, progress, time_left)
        return move_segment(at, options_of(services, job), replace(tools, tally=tally), split, event.n, position)

    record = partial(services.segments.put, job.job_id, job.run, task, split.attempt, event.n)
    try:
        with patience.turn(task):
            tally.begin(services.source)
            moved = with_fresh_access(services, job, task, attempt)
    except NotNow:
        return None, before
    except SluicewayError as error:
        _record_failed(record, tally, error)
        if wants_link(job, error):
            _await_link(services, job, task, error)
        raise
    except Exception as error:  # nobody foresaw it
        _record_failed(record, tally, error)
        raise
    finally:
        progress.end()
    took = tally.measured()
    record(moved if isinstance(moved, SegmentSum) else None, took.to_dict())
    return moved, took


def _record_failed(record: Callable[[None, Mapping[str, Any]], None], tally: Tally, error: Exception) -> None:
    try:
        record(None, tally.measured().to_dict())
    except (ClientError, BotoCoreError) as failed:
        # Why the segment failed is worth more than what it took.
        error.add_note(f"and what it took could not be recorded: {type(failed).__name__}")


def _await_link(services: Services, job: JobRow, task: FileTask, error: SluicewayError) -> None:
    """Notes that the file wants a fresh link, once though all of its segments may find so. It is then begun anew."""
    if not awaits_link(job, services.files.known(job.job_id, job.run, [task]).get(task.file_id)):
        took = _taken(services.segments.rows(job.job_id, job.run, task))
        services.files.end(job.job_id, job.run, [(task, took.on(retry_link(job, error, None)))])


def with_segments(
    services: Services, job: JobRow, task: FileTask, split: Mapping[str, Any], result: FileResult
) -> FileResult:
    """`result` of a file whose split came to nothing, with what its segments moved and took until then."""
    rows, begun = services.segments.rows(job.job_id, job.run, task), Split.from_dict(split)
    moved = sum(each.bytes for each in _totals(rows, begun))
    return replace(_taken(rows).on(result), bytes=moved, segments=begun.segments)


def _taken(rows: Sequence[SegmentRow]) -> Measured:
    """By every upload of the file, those that were given up for a fresh link among them."""
    return sum((Measured.from_dict(row.measured) for row in rows), Measured())


def _totals(rows: Sequence[SegmentRow], split: Split) -> list[SegmentSum]:
    return [row.total for row in rows if row.attempt == split.attempt and row.total is not None]


def finish_file(services: Services, event: SegmentEvent) -> list[Ended]:
    """Completes a split file and records its end: STORED, SKIPPED where another object stands at its key and may not be
    replaced, or what its sums and S3 say. Answers with what was new; with nothing where its segments were left out
    because the job takes no more bytes, and gives the file its end. Raises SplitOverError as a segment does, and the
    first time that S3 asks for every part again."""
    job, task, split = _of(services, event)
    if _gave_up(services, job, event, task, split):
        return []
    done = services.files.results(job.job_id, job.run, [task])
    # One that another invocation saw fail may still be completed here.
    if task.file_id in done and done[task.file_id].state not in UNLANDED:
        return []
    rows = services.segments.rows(job.job_id, job.run, task)
    if len(_totals(rows, split)) != split.segments and not may_begin(services, job, event.execution):
        abort_split(task, options_of(services, job), _sink(services), split)
        return []
    recorded = services.files.end(job.job_id, job.run, [(task, _finish(services, job, task, split, rows))])
    services.files.remove_progress(job.job_id, task)
    announce_files(services, job.job_id, recorded)
    return recorded


def _finish(services: Services, job: JobRow, task: FileTask, split: Split, rows: Sequence[SegmentRow]) -> FileResult:
    totals, tally = _totals(rows, split), Tally.of(_taken(rows))
    options, tools = options_of(services, job), replace(_sink(services), tally=tally)
    try:
        if len(totals) != split.segments:
            abort_split(task, options, tools, split)
            raise SegmentsMissingError(f"{split.segments} segments were expected, {len(totals)} are recorded")
        return finish_split(task, options, tools, split, totals)
    except SendAgainError as error:
        if any(row.attempt != split.attempt for row in rows):
            return replace(tally.on(FileResult.of_error(error)), segments=split.segments)
        raise SplitOverError(f"{error}; the file is split anew, once") from error
    except FileExistsInSinkError as error:
        skipped = FileResult(FileState.SKIPPED, reason=str(error))
        return replace(tally.on(skipped), segments=split.segments)
    except SluicewayError as error:
        failed = FileResult.of_error(error, bytes=sum(each.bytes for each in totals))
        return replace(tally.on(failed), segments=split.segments)


def _gave_up(services: Services, job: JobRow, event: SegmentEvent, task: FileTask, split: Split) -> bool:
    """Whether the job is another execution's, or the run that the split belongs to has ended: then what was sent is
    aborted, once more where somebody has done so while a part was on its way. Raises SplitOverError."""
    if job.execution == event.execution and not _is_over(job, event):
        return False
    abort_split(task, options_of(services, job), _sink(services), split)
    _require_run(job, event)
    return True


def _is_over(job: JobRow, event: SegmentEvent) -> bool:
    return job.ended or event.run not in (None, job.run)


def _require_run(job: JobRow, event: SegmentEvent) -> None:
    """Of a run that has ended the upload is aborted. Who still hears of it is a redriven execution."""
    if job.execution == event.execution and _is_over(job, event):
        raise SplitOverError(f"job {job.job_id}: run {event.run} ended while this file was split; it is begun anew")


def _sink(services: Services) -> Tools:
    """Without anything to ask the source with: a file that is there already has nothing to ask it for."""
    return Tools(services.source, services.s3)


def _of(services: Services, event: SegmentEvent) -> tuple[JobRow, FileTask, Split]:
    job = services.jobs.find(event.job_id)
    if job is None:
        raise JobError(f"there is no job {event.job_id}")
    (task,) = tasks_of(services, Unit(**event.unit))
    return job, task, Split.from_dict(event.split)
