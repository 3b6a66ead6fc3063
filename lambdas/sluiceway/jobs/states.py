"""The states of a job and of a file, and which may follow which.

Knows the two transition tables and nothing of where states are stored or who changes them.
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
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STAGED = "STAGED"
    STORED = "STORED"
    SKIPPED = "SKIPPED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    RETRY_LINK = "RETRY_LINK"


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

# PENDING costs no row in the table, so a file's first row may already be its end.
FILE_TRANSITIONS: dict[FileState, frozenset[FileState]] = {
    FileState.PENDING: FILE_ENDS | {FileState.RUNNING, FileState.STAGED, FileState.RETRY_LINK},
    FileState.RUNNING: FILE_ENDS | {FileState.STAGED, FileState.RETRY_LINK},
    FileState.STAGED: frozenset({FileState.STORED, FileState.SKIPPED, FileState.FAILED, FileState.CANCELLED}),
    FileState.RETRY_LINK: frozenset({FileState.PENDING, FileState.FAILED, FileState.CANCELLED}),
    FileState.STORED: frozenset(),
    FileState.CANCELLED: frozenset(),
    # Only where another invocation of the same unit, at the same moment, landed the file (FileResult.overrules).
    **{end: frozenset({FileState.STAGED, FileState.STORED}) for end in OVERRULABLE},
}


def check_job_transition(before: JobState, after: JobState) -> None:
    """Raises IllegalTransitionError unless a job in `before` may become `after`."""
    if after not in JOB_TRANSITIONS[before]:
        raise IllegalTransitionError(f"a job that is {before} cannot become {after}")


def check_file_transition(before: FileState, after: FileState) -> None:
    """Raises IllegalTransitionError unless a file in `before` may become `after`."""
    if after not in FILE_TRANSITIONS[before]:
        raise IllegalTransitionError(f"a file that is {before} cannot become {after}")
