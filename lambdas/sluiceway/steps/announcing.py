"""Tells others what became of a job and its files: the event bus, and a workflow that waits for the job.

Knows who is told what and when it counts as told. A repeated invocation tells again only what was not yet told.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from sluiceway.aws.file_table import Ended
from sluiceway.aws.rows import JobRow
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.events import file_event, job_event
from sluiceway.jobs.files import FileResult
from sluiceway.jobs.states import FileState, JobState
from sluiceway.wiring import Services

SUCCESSES = frozenset({JobState.COMPLETED, JobState.COMPLETED_WITH_FAILURES})


def announce_job(services: Services, job: JobRow, counts: Counts | None = None) -> JobRow:
    """Publishes the job's state unless that was done before. `counts` where files may have ended already."""
    if job.announced == job.state:
        return job
    event = job_event(
        job.job_id,
        state=job.state,
        previous=job.previous,
        run=job.run,
        execution=job.execution,
        counts=counts,
        error=dict(job.error) if job.error else None,
    )
    services.bus.publish([event])
    return services.jobs.mark_announced(job)


def announce_files(services: Services, job_id: str, ended: Iterable[Ended]) -> None:
    """Publishes the ends of files that the setting `file_events` names, and what took the place of one of them."""
    wanted = services.config.file_events
    told = [pair for pair in ended if pair[1].state in wanted or _corrects(pair[1], wanted)]
    services.bus.publish(file_event(job_id, task, result) for task, result in told)


def _corrects(result: FileResult, wanted: Container[object]) -> bool:
    """Whether who is told of `wanted` ends was told of one that this end took the place of."""
    return result.state is FileState.STORED and result.overruled in wanted


def answer_token(services: Services, job: JobRow, summary: dict[str, object]) -> None:
    """Answers the task token of an ended job, if it has one: with the summary, or with the error of one that failed.
    An answer given twice changes nothing, Step Functions takes the first."""
    if job.task_token is None:
        return
    if job.state in SUCCESSES:
        services.tokens.succeed(job.task_token, summary)
    else:
        error = job.error or {"type": f"Job{job.state.value.capitalize()}", "message": f"job {job.job_id}: {summary}"}
        services.tokens.fail(job.task_token, error["type"], error["message"])
