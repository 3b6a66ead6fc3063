"""MoveSegment and FinishFile: a large file that several functions move at once, and its end.

Knows the job, the table and when a segment may still begin. Refuses to know how segments are cut and combined:
splitting.py does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sluiceway.aws.file_table import Ended
from sluiceway.aws.rows import JobRow
from sluiceway.errors import JobError, SegmentsMissingError, SluicewayError, SplitOverError
from sluiceway.job_files import tasks_of
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState
from sluiceway.jobs.units import Unit
from sluiceway.landing.options import Tools
from sluiceway.landing.relaying import TimeLeft
from sluiceway.landing.splitting import SegmentPaused, Split, abort_split, begin_split, finish_split, move_segment
from sluiceway.redact import redact_error
from sluiceway.steps.announcing import announce_files
from sluiceway.steps.gates import may_begin
from sluiceway.steps.progress import Progress
from sluiceway.steps.refreshing import retry_link, wants_link
from sluiceway.steps.tools import options_of, reachable, tools_for, with_fresh_access
from sluiceway.transfer.checkpoint import Position
from sluiceway.transfer.segments import SEGMENT_BYTES, SegmentSum
from sluiceway.wiring import Services


@dataclass(frozen=True, slots=True)
class SegmentEvent:
    """What the inner Map hands to one segment: pointers only. `run` is the job's run that the split belongs to, None
    where it was begun before runs were told; `position` is where an earlier invocation paused."""

    job_id: str
    execution: str
    unit: Mapping[str, Any]
    split: Mapping[str, Any]
    n: int
    run: int | None = None
    position: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> SegmentEvent:
        return cls(**{name: event[name] for name in cls.__dataclass_fields__ if name in event})


def try_split(services: Services, job: JobRow, task: FileTask) -> Split | str:
    """Begins to split a file that asks for it, or says why it must go in one piece. Raises SluicewayError."""
    if task.size is not None and task.size <= services.config.split_bytes:
        return f"its {task.size} bytes are not more than split_bytes ({services.config.split_bytes})"
    task = reachable(services, job, task)
    return begin_split(
        task,
        # Of the functions that move the segments, whoever begins the file.
        replace(options_of(services, job), memory_bytes=services.config.file_memory_bytes),
        tools_for(services, job, task),
        split_bytes=services.config.split_bytes,
        segment_bytes=min(SEGMENT_BYTES, services.config.split_bytes),
    )


def move_one_segment(services: Services, event: SegmentEvent, time_left: TimeLeft) -> dict[str, Any] | None:
    """Moves a segment and records its sum. Answers with the position to go on from when time ran out. Raises
    SluicewayError, SplitOverError when a redriven execution has another run of the job, and JobError when the job takes
    no more bytes: the file then fails as a whole."""
    began = time.monotonic()
    job, task, split = _of(services, event)
    _require_run(job, event)
    if not may_begin(services, job, event.execution):
        raise JobError(f"job {job.job_id} takes no more files")
    # Only the first segment shows its progress: one row a file is a picture, four hundred are a cost.
    progress = Progress(services, job.job_id, task)
    position = Position.from_dict(event.position) if event.position else None

    def attempt(at: FileTask) -> SegmentSum | SegmentPaused:
        tools = tools_for(services, job, at, progress if event.n == 0 else None, time_left)
        return move_segment(at, options_of(services, job), tools, split, event.n, position)

    try:
        moved = with_fresh_access(services, job, task, attempt)
    except SluicewayError as error:
        if wants_link(job, error):
            _await_link(services, job, task, error, time.monotonic() - began)
        raise
    except Exception as error:  # nobody foresaw it, and it may quote the link
        redact_error(error)
        raise
    finally:
        progress.remove()
    if isinstance(moved, SegmentPaused):
        return moved.position.to_dict()
    measured = {"seconds": time.monotonic() - began}
    services.segments.put(job.job_id, task, event.n, split.upload_id, moved, measured)
    return None


def _await_link(services: Services, job: JobRow, task: FileTask, error: SluicewayError, seconds: float) -> None:
    """Notes that the file wants a fresh link, once though all of its segments may find so. It is then begun anew."""
    if not services.files.retrying(job.job_id, job.run, [task]):
        services.files.end(job.job_id, job.run, [(task, retry_link(error, None, seconds))])


def finish_file(services: Services, event: SegmentEvent) -> list[Ended]:
    """Completes a split file and records its end: STORED, or what its sums and S3 say. Answers with what was new.
    Raises SplitOverError as a segment does."""
    job, task, split = _of(services, event)
    if job.execution != event.execution or _is_over(job, event):
        abort_split(task, options_of(services, job), _sink(services), split)
        _require_run(job, event)
        return []
    done = services.files.results(job.job_id, job.run, [task])
    if task.file_id in done:
        return []
    recorded = services.files.end(job.job_id, job.run, [(task, _finish(services, job, task, split))])
    announce_files(services, job.job_id, recorded)
    return recorded


def _finish(services: Services, job: JobRow, task: FileTask, split: Split) -> FileResult:
    rows = services.segments.sums(job.job_id, task, split.upload_id)
    options, tools = options_of(services, job), _sink(services)
    try:
        if len(rows) != split.segments:
            abort_split(task, options, tools, split)
            raise SegmentsMissingError(f"{split.segments} segments were expected, {len(rows)} are recorded")
        result = finish_split(task, options, tools, split, [total for total, _ in rows])
    except SluicewayError as error:
        return FileResult.of_error(error)
    seconds = sum(float(measured["seconds"]) for _, measured in rows)
    return replace(result, seconds=seconds) if result.state is FileState.STORED else result


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
