"""Links that expire: which files wait for a fresh one, and when the job goes back to its source to get it.

Knows the bound on rounds. A file keeps what it has moved: its checkpoint waits in its row.
"""

from __future__ import annotations

from typing import Any

from sluiceway.aws.rows import ABORT, JobRow
from sluiceway.errors import SluicewayError, SourceStatusError
from sluiceway.jobs.files import FileResult
from sluiceway.jobs.states import FileState, JobState
from sluiceway.steps.announcing import announce_job
from sluiceway.steps.gates import is_stopped, past_failures
from sluiceway.wiring import Services

# Links that expire sooner than a round takes would keep a job going for ever.
MAX_ROUNDS = 3


def may_renew(job: JobRow) -> bool:
    return job.links_renewable and job.links_round < MAX_ROUNDS


def wants_link(job: JobRow, error: SluicewayError) -> bool:
    """Whether `error` is that of a link that died, and the job can get another."""
    return may_renew(job) and isinstance(error, SourceStatusError) and error.link_died


def is_wanted(job: JobRow, known: FileResult | None) -> bool:
    """Whether a file of which its run knows this is to be moved: it has no end, is not staged, and its newest link is
    not known to be dead."""
    if known is None or known.state is FileState.SEND_AGAIN:
        return True
    return known.state is FileState.RETRY_LINK and not awaits_link(job, known)


def awaits_link(job: JobRow, known: FileResult | None) -> bool:
    """Whether the newest link of a file is dead: until the job has been back at its source there is no other."""
    return known is not None and known.state is FileState.RETRY_LINK and known.links_round == job.links_round


def retry_link(job: JobRow, error: SluicewayError, checkpoint: dict[str, Any] | None) -> FileResult:
    """`checkpoint` is where the file stood before; the error may know of a later one."""
    moved = error.checkpoint if isinstance(error, SourceStatusError) else None
    return FileResult(
        FileState.RETRY_LINK,
        error_type=error.type,
        error_message=str(error),
        checkpoint=moved or checkpoint,
        links_round=job.links_round,
    )


def links_asked(services: Services, job: JobRow) -> int:
    """How often files of this run have asked for a fresh link so far, if the job must go back to its source for some;
    else 0. One that is stopped, given up or past its failures would move none of them."""
    if job.state is not JobState.TRANSFERRING or not may_renew(job) or job.decision == ABORT:
        return 0
    if is_stopped(job, job.execution) or past_failures(services, job):
        return 0
    asked = services.files.counts(job.job_id, job.run).retry_link
    return asked if asked > job.links_seen else 0


def send_back(services: Services, job: JobRow) -> JobRow | None:
    """The job, on its way back to its source, if files wait for a link since the last round; else None. Asked again
    before the list was read anew, it says the same."""
    if job.state is JobState.EXPORTING and job.links_round:
        return job
    asked = links_asked(services, job)
    if not asked:
        return None
    facts = {"links_round": job.links_round + 1, "links_seen": asked}
    job = services.jobs.change_state(job, JobState.EXPORTING, **facts)
    return announce_job(services, job)
