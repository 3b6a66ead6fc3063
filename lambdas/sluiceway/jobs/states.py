"""The states of a job, which of them may follow which, and the states of a file.

Knows nothing of where states are stored or who changes them. Which end of a file gives way to which is the result's
affair (files.py), and that no other does is the table's: it refuses a second one, for who repeats an invocation makes
no mistake.
"""

from __future__ import annotations

from enum import StrEnum

from sluiceway.errors import IllegalTransitionError


class JobState(StrEnum):
    REQUESTED = "REQUESTED"
    EXPORTING = "EXPORTING"
    TRANSFERRING = "TRANSFERRING"
    COMPLETED = "COMPLETED"
    COMPLETED_WITH_FAILURES = "COMPLETED_WITH_FAILURES"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class FileState(StrEnum):
    """What a file has come to. One that waits or is on its way has come to nothing yet, and costs no row."""

    STAGED = "STAGED"
    STORED = "STORED"
    SKIPPED = "SKIPPED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    RETRY_LINK = "RETRY_LINK"
    SEND_AGAIN = "SEND_AGAIN"


JOB_ENDS = frozenset({JobState.COMPLETED, JobState.COMPLETED_WITH_FAILURES, JobState.FAILED, JobState.CANCELLED})

# An ended job may be submitted again under its id: that begins a new run of it.
JOB_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.REQUESTED: frozenset({JobState.EXPORTING, JobState.TRANSFERRING, JobState.FAILED, JobState.CANCELLED}),
    JobState.EXPORTING: frozenset({JobState.TRANSFERRING, JobState.FAILED, JobState.CANCELLED}),
    JobState.TRANSFERRING: JOB_ENDS | {JobState.EXPORTING},
    **{end: frozenset({JobState.REQUESTED}) for end in JOB_ENDS},
}

FILE_ENDS = frozenset({FileState.STORED, FileState.SKIPPED, FileState.REJECTED, FileState.FAILED, FileState.CANCELLED})

# Ends without an object: another invocation that was at work on the file at the same moment may still land it.
UNLANDED = frozenset({FileState.REJECTED, FileState.FAILED})
OVERRULABLE = UNLANDED | {FileState.SKIPPED}


def check_job_transition(before: JobState, after: JobState) -> None:
    """Raises IllegalTransitionError unless a job in `before` may become `after`."""
    if after not in JOB_TRANSITIONS[before]:
        raise IllegalTransitionError(f"a job that is {before} cannot become {after}")
