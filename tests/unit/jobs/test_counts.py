"""Counting ends, and what the counts make of a job."""

from __future__ import annotations

import pytest

from sluiceway.jobs.counts import Counts, Tolerance, shortfall, too_many_failed, verdict
from sluiceway.jobs.files import FileResult
from sluiceway.jobs.states import FileState


def test_counts_add_up() -> None:
    first = Counts.of([FileResult(FileState.STORED, 10), FileResult(FileState.FAILED, 7)])
    second = Counts.of(
        [FileResult(FileState.STORED, 5), FileResult(FileState.CANCELLED), FileResult(FileState.SKIPPED)]
    )

    assert first + second == Counts(stored=2, skipped=1, failed=1, cancelled=1, bytes=15)


def test_an_end_that_takes_the_place_of_another_takes_its_count() -> None:
    stored, failed = Counts(stored=1, bytes=10), Counts(failed=1)
    assert Counts(failed=1, skipped=2) + (stored - failed) == Counts(stored=1, skipped=2, bytes=10)


def test_only_stored_bytes_count_as_moved() -> None:
    assert Counts.of([FileResult(FileState.REJECTED, 99), FileResult(FileState.SKIPPED, 99)]).bytes == 0


@pytest.mark.parametrize(
    ("counts", "total", "percent", "expected"),
    [
        (Counts(), 0, 100, "COMPLETED"),
        (Counts(), 0, 0, "COMPLETED"),
        (Counts(stored=3), 3, 0, "COMPLETED"),
        (Counts(skipped=3), 3, 0, "COMPLETED"),
        (Counts(stored=1, failed=3), 4, 100, "COMPLETED_WITH_FAILURES"),
        (Counts(stored=3, failed=1), 4, 25, "COMPLETED_WITH_FAILURES"),
        (Counts(stored=3, rejected=1), 4, 24.9, "FAILED"),
        (Counts(stored=3, failed=1), 4, 0, "FAILED"),
        (Counts(failed=4), 4, 100, "FAILED"),
        (Counts(rejected=1), 1, 100, "FAILED"),
        (Counts(stored=3, cancelled=1), 4, 0, "COMPLETED_WITH_FAILURES"),
        (Counts(stored=3), 4, 100, "COMPLETED_WITH_FAILURES"),
    ],
)
def test_verdict(counts: Counts, total: int, percent: float, expected: str) -> None:
    assert verdict(counts, total, Tolerance(percent)) == expected


@pytest.mark.parametrize(
    ("cancelled", "error", "expected"), [(True, False, "CANCELLED"), (True, True, "CANCELLED"), (False, True, "FAILED")]
)
def test_what_happened_to_the_job_outweighs_its_files(cancelled: bool, error: bool, expected: str) -> None:
    assert verdict(Counts(stored=3), 3, Tolerance(), cancelled=cancelled, error=error) == expected


@pytest.mark.parametrize(
    ("counts", "total", "tolerance", "name", "told"),
    [
        (
            Counts(failed=1, cancelled=2),
            3,
            Tolerance(0),
            "TooManyFilesFailedError",
            "1 of 3 files failed or were rejected; ",
        ),
        (
            Counts(stored=3, rejected=1),
            4,
            Tolerance(24.9),
            "TooManyFilesFailedError",
            "failed_files_percent allows 24.9 %",
        ),
        (
            Counts(stored=3, failed=3),
            9,
            Tolerance(files=2),
            "TooManyFilesFailedError",
            "rejected; failed_files allows 2",
        ),
        (
            Counts(stored=3, failed=3),
            9,
            Tolerance(20, 2),
            "TooManyFilesFailedError",
            "failed_files_percent allows 20 %",
        ),
        (
            Counts(rejected=1, failed=3),
            4,
            Tolerance(files=4),
            "NoFileLandedError",
            "4 of 4 files failed or were rejected, 0 were",
        ),
        (
            Counts(failed=1, cancelled=3),
            4,
            Tolerance(50),
            "NoFileLandedError",
            "1 of 4 files failed or were rejected, 3 were",
        ),
    ],
)
def test_why_a_job_that_did_not_break_has_failed(
    counts: Counts, total: int, tolerance: Tolerance, name: str, told: str
) -> None:
    assert verdict(counts, total, tolerance) == "FAILED"
    error, text = shortfall(counts, total, tolerance)
    assert (error, told in text) == (name, True), text


@pytest.mark.parametrize(
    ("lost", "tolerance", "is_passed"),
    [
        (10, Tolerance(100), False),
        (10, Tolerance(99), True),
        (3, Tolerance(files=3), False),
        (4, Tolerance(files=3), True),
        (1, Tolerance(files=0), True),
        (0, Tolerance(0, 0), False),
        (3, Tolerance(50, 2), True),
        (3, Tolerance(20, 5), True),
        (2, Tolerance(20, 5), False),
    ],
)
def test_a_limit_is_passed_by_percent_or_by_number(lost: int, tolerance: Tolerance, is_passed: bool) -> None:
    assert tolerance.is_passed(lost, 10) is is_passed
    assert too_many_failed(Counts(failed=lost, cancelled=5), 10, tolerance) is is_passed


def test_no_number_of_failures_is_past_a_hundred_percent() -> None:
    assert Tolerance().is_boundless
    assert not Tolerance(99.9).is_boundless and not Tolerance(files=9).is_boundless
