"""When a job takes no more files: it is another execution's, cancelled, past its deadline or past its failures.

Knows the job's row and its counters. Asked by every function before it begins a file and every few seconds while it
works on one, and by CompleteJob for the why.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from sluiceway.aws.rows import JobRow
from sluiceway.jobs.counts import too_many_failed
from sluiceway.jobs.states import JobState
from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.fairness import Patience
from sluiceway.wiring import Services


def may_begin(services: Services, job: JobRow, execution: str) -> bool:
    """Whether a function of this execution may begin another file of the job."""
    if job.execution != execution or job.state is not JobState.TRANSFERRING or job.cancel_requested:
        return False
    return not past_deadline(job, time.time()) and not past_failures(services, job)


def is_stopped(job: JobRow | None, execution: str) -> bool:
    """Whether even files under way must stop: the job is gone, ended, another's, cancelled or past its deadline."""
    if job is None or job.execution != execution or job.ended:
        return True
    return job.cancel_requested or past_deadline(job, time.time())


def patience_of(services: Services, job: JobRow, time_left: TimeLeft) -> Patience:
    """Of an invocation that works on files of the job."""
    limit = job.limits.get("max_concurrency_per_host")
    return Patience(services, job.job_id, limit, time_left, job.patience or {})


def look(patience: Patience, execution: str) -> tuple[JobRow | None, bool]:
    """The job as it stands now, and whether even files under way must stop, which ends the invocation's time. What
    sources have asked for is passed on, either way."""
    job = patience.services.jobs.find(patience.job_id)
    patience.tell(job)
    stopped = is_stopped(job, execution)
    if stopped:
        patience.time_left.end_now()
    return job, stopped


def past_deadline(job: JobRow, now: float) -> bool:
    """`now` is in seconds since 1970. The deadline counts from the start of the run."""
    minutes = job.limits.get("deadline_minutes")
    begun = datetime.fromisoformat(job.created_at).astimezone(UTC).timestamp()
    return minutes is not None and now > begun + minutes * 60


def past_failures(services: Services, job: JobRow) -> bool:
    # Where no number of failures is too many, the counters need not be read.
    if job.tolerance.is_boundless or not job.files_total:
        return False
    return too_many_failed(services.files.counts(job.job_id, job.run), job.files_total, job.tolerance)
