"""No job of the sizes we promise breaks a limit of the platform."""

from __future__ import annotations

import pytest

from bench.scale import JOBS, TB, Job, exceeded, needs
from sluiceway.errors import PlanError


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_keeps_within_every_limit(job: Job) -> None:
    assert exceeded(job, needs(job)) == []


def test_a_limit_that_is_broken_is_named() -> None:
    job = Job("too many at once", 1, 1000, max_concurrency=10_001)
    assert exceeded(job, needs(job)) == ["children at once: 10001 of 10000"]


def test_more_small_files_a_second_than_a_partition_takes_are_named() -> None:
    job = Job("10 KB each", 10_000_000, 10_000, max_concurrency=1000)
    assert exceeded(job, needs(job)) == ["writes a second of a partition: 7546 of 1000"]


@pytest.mark.parametrize(("tb", "memory_mb"), [(0.5, 512), (1, 5120), (5, 5120)])
@pytest.mark.parametrize("split", [False, True])
def test_a_large_file_is_moved_by_the_functions_that_hold_its_parts(tb: float, memory_mb: int, split: bool) -> None:
    found = needs(Job("large", 1, int(tb * TB), split=split))
    assert (found.memory_mb, found.segments > 0) == (memory_mb, split)


def test_a_file_too_large_for_the_memory_is_refused() -> None:
    with pytest.raises(PlanError):
        needs(Job("6 TB", 1, 6 * TB))


def test_a_list_that_takes_an_invocation_to_pass_over_is_refused() -> None:
    assert needs(Job("long", 10_000_000, 10_000)).dispatches > 1
    with pytest.raises(PlanError):
        needs(Job("longer", 20_000_000, 10_000))


def test_a_hundred_thousand_small_files_cost_less_than_a_dollar() -> None:
    assert needs(Job("small", 100_000, 10_000)).usd < 1.00
