"""Which state of a job may follow which, and which end of a file takes the place of which."""

from __future__ import annotations

from itertools import product

import pytest

from sluiceway.errors import IllegalTransitionError
from sluiceway.jobs.files import FileResult
from sluiceway.jobs.states import FILE_ENDS, JOB_ENDS, FileState, JobState, check_job_transition

LEGAL_JOB_STEPS = {
    ("REQUESTED", "EXPORTING"),
    ("REQUESTED", "TRANSFERRING"),
    ("REQUESTED", "FAILED"),
    ("REQUESTED", "CANCELLED"),
    ("EXPORTING", "TRANSFERRING"),
    ("EXPORTING", "FAILED"),
    ("EXPORTING", "CANCELLED"),
    ("TRANSFERRING", "EXPORTING"),
    *(("TRANSFERRING", end) for end in ("COMPLETED", "COMPLETED_WITH_FAILURES", "FAILED", "CANCELLED")),
    *((end, "REQUESTED") for end in ("COMPLETED", "COMPLETED_WITH_FAILURES", "FAILED", "CANCELLED")),
}


@pytest.mark.parametrize(("before", "after"), list(product(JobState, JobState)))
def test_a_job_takes_legal_steps_and_no_other(before: JobState, after: JobState) -> None:
    if (before.value, after.value) in LEGAL_JOB_STEPS:
        check_job_transition(before, after)
    else:
        with pytest.raises(IllegalTransitionError, match=f"{before} cannot become {after}"):
            check_job_transition(before, after)


OVERRULED = set(product(("SKIPPED", "REJECTED", "FAILED"), ("STAGED", "STORED")))


@pytest.mark.parametrize(("end", "after"), list(product(sorted(FILE_ENDS), FileState)))
def test_a_file_that_has_ended_stays_so_unless_another_invocation_landed_it(end: FileState, after: FileState) -> None:
    assert FileResult(after).overrules(FileResult(end)) == ((end.value, after.value) in OVERRULED)


def test_every_end_of_a_job_is_reachable_from_transferring() -> None:
    for end in JOB_ENDS:
        check_job_transition(JobState.TRANSFERRING, end)
