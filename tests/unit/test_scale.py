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


def test_a_file_too_large_for_the_memory_is_refused() -> None:
    with pytest.raises(PlanError):
        needs(Job("5 TB in 512 MB", 1, 5 * TB))


def test_a_list_that_takes_an_invocation_to_pass_over_is_refused() -> None:
    assert needs(Job("long", 10_000_000, 10_000)).dispatches > 1
    with pytest.raises(PlanError):
        needs(Job("longer", 20_000_000, 10_000))


def test_a_hundred_thousand_small_files_cost_less_than_a_dollar() -> None:
    assert needs(Job("small", 100_000, 10_000)).usd < 1.00
