"""What the exit code of a command means, the same for all of them.

Knows how an outcome becomes a code. Refuses to know how the outcome came about.
"""

from __future__ import annotations

from enum import IntEnum

from sluiceway.jobs.files import FileResult
from sluiceway.jobs.states import FileState, JobState

INVALID_ERRORS = frozenset({"InvalidJobError", "DuplicateTargetError"})


class Exit(IntEnum):
    OK = 0
    """Everything was stored, or skipped because it was there already."""
    FILES = 1
    """Some file failed or was rejected."""
    INVALID = 2
    """The job or the arguments are wrong; nothing was moved."""
    JOB = 3
    """The job itself failed, or was cancelled."""
    UNAVAILABLE = 4
    """AWS could not be reached or refused: no credentials, no such stack, no permission, no answer."""
    UNTOLD = 74
    """What came of it could not be written to stdout: EX_IOERR of sysexits.h. A reader that left is no error."""
    INTERRUPTED = 130
    """Ctrl-C: 128 + SIGINT, as shells count."""


def of_file(result: FileResult) -> Exit:
    return Exit.OK if result.state in (FileState.STORED, FileState.SKIPPED) else Exit.FILES


def of_job(state: JobState, error_type: str | None) -> Exit:
    """`error_type` is the name of the error that ended the job, None when none did."""
    if error_type in INVALID_ERRORS:
        return Exit.INVALID
    return {JobState.COMPLETED: Exit.OK, JobState.COMPLETED_WITH_FAILURES: Exit.FILES}.get(state, Exit.JOB)
