"""A redriven execution goes on with the job that its own failure, timeout or stop had ended.

Knows that a function cannot tell by itself whether its execution was redriven or whether it merely outlived it: Step
Functions is asked, for it alone counts redrives. The job goes on in a new run, because ends are final; files that had
an end keep it, unless the redriven execution works on them again. Refuses a job that lands all of its files or none
once something was staged: that was aborted with the job, and children that had succeeded are not run again.
"""

from __future__ import annotations

from collections.abc import Sequence

from sluiceway.aws.rows import ALL_OR_NOTHING, JobRow
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import JobState
from sluiceway.steps.announcing import announce_job
from sluiceway.steps.failures import Ending
from sluiceway.wiring import Services

# An execution that ended while its files moved. One that ended before has lost its export: the vendor was told.
RESUMABLE = frozenset({JobState.FAILED, JobState.CANCELLED})


def resumed(services: Services, job: JobRow, execution: str) -> JobRow:
    """The job, in a new run if it had ended and `execution`, its owner, has been redriven since; else as it is. For
    who moves files."""
    if not _may_resume(job, execution):
        return job
    if job.commit == ALL_OR_NOTHING:
        counts = services.files.counts(job.job_id, job.run)
        if counts.staged or counts.landed:
            return job
    return _resume(services, job)


def resumed_at_its_end(services: Services, job: JobRow, ending: Ending) -> JobRow:
    """As `resumed`, for CompleteJob in the course of an execution, unless a state before it has failed: no file is left
    to move, so nothing that was staged can be missing."""
    return job if ending.failure or not _may_resume(job, ending.execution) else _resume(services, job)


def _may_resume(job: JobRow, execution: str) -> bool:
    if job.execution != execution or job.state not in RESUMABLE or job.previous != JobState.TRANSFERRING:
        return False
    return job.files_total is not None


def _resume(services: Services, job: JobRow) -> JobRow:
    redrives = services.executions.redrives(job.execution)
    if redrives <= job.redrives:
        return job
    return announce_job(services, services.jobs.resume(job, redrives))


def ends_so_far(services: Services, job: JobRow, tasks: Sequence[FileTask]) -> dict[str, FileResult]:
    """The ends of files in this run, by file id. In one that a redrive began, files that it did not work on again take
    over the end they had."""
    results = services.files.results(job.job_id, job.run, tasks)
    missing = [task for task in tasks if task.file_id not in results]
    if not job.redrives or not missing:
        return results
    before = services.files.ended_before(job.job_id, job.run, missing)
    services.files.end(
        job.job_id, job.run, [(task, before[task.file_id]) for task in missing if task.file_id in before]
    )
    return results | services.files.results(job.job_id, job.run, missing)


def is_old_news(services: Services, job: JobRow, ending: Ending) -> bool:
    """Whether `ending` tells of an end after which the execution was redriven: events may come late, or twice."""
    if ending.stopped_at is None:
        return False
    if job.redrives and ending.stopped_at < job.created_seconds:
        return True
    # Redriven before its job had ended with it: it runs again, and goes on in the same run.
    return not job.ended and services.executions.redrives(job.execution) > 0
