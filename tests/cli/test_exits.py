"""What becomes which exit code."""

from __future__ import annotations

import pytest

from cli.exits import Exit, of_file, of_job
from sluiceway.jobs.files import FileResult
from sluiceway.jobs.states import FileState, JobState


@pytest.mark.parametrize(
    ("state", "error", "code"),
    [
        (JobState.COMPLETED, None, 0),
        (JobState.COMPLETED_WITH_FAILURES, None, 1),
        (JobState.FAILED, None, 3),
        (JobState.FAILED, "ExportError", 3),
        (JobState.CANCELLED, None, 3),
        (JobState.FAILED, "InvalidJobError", 2),
        (JobState.FAILED, "DuplicateTargetError", 2),
    ],
)
def test_a_job(state: JobState, error: str | None, code: int) -> None:
    assert of_job(state, error) == code


@pytest.mark.parametrize("state", list(FileState))
def test_a_file(state: FileState) -> None:
    landed = state in (FileState.STORED, FileState.SKIPPED)
    assert of_file(FileResult(state)) == (Exit.OK if landed else Exit.FILES)
