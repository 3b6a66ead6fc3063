"""The list of jobs: newest first, each once, read without a scan."""

from __future__ import annotations

from itertools import count
from typing import Any

from sluiceway.aws import job_list
from sluiceway.aws.job_list import recent_jobs
from sluiceway.aws.table import JobTable
from sluiceway.jobs.states import JobState
from tests.support.deployment import Deployment

BEGUN = 1_800_000_000


def take(deployment: Deployment, job_id: str, at: int) -> Any:
    table = JobTable(deployment.jobs.client, deployment.table, now=lambda: BEGUN + at)
    facts: dict[str, Any] = {"document_key": "k", "destination": {"prefix": "{dd}/"}, "limits": {}}
    return table.take(job_id, f"arn:{job_id}-{at}", **facts)


def listed(deployment: Deployment) -> list[tuple[str, int]]:
    return [(job.job_id, job.run) for job in recent_jobs(deployment.jobs.client, deployment.table)]


def test_the_newest_job_comes_first_and_a_rerun_counts_as_new(deployment: Deployment) -> None:
    assert listed(deployment) == []
    first = take(deployment, "a", 0)
    take(deployment, "b", 10)
    assert listed(deployment) == [("b", 1), ("a", 1)]

    deployment.jobs.change_state(first, JobState.FAILED)
    take(deployment, "a", 20)

    assert listed(deployment) == [("a", 2), ("b", 1)]


def test_more_jobs_than_a_page_are_listed(deployment: Deployment, monkeypatch: Any) -> None:
    monkeypatch.setattr(job_list, "BATCH_KEYS", 2)
    moments = count()
    for name in "abcde":
        take(deployment, name, next(moments))
    assert listed(deployment) == [(name, 1) for name in "edcba"]


def test_a_later_run_has_the_prefix_of_the_first(deployment: Deployment) -> None:
    first = take(deployment, "a", 0)
    deployment.jobs.change_state(first, JobState.FAILED)
    second = take(deployment, "a", 3 * 24 * 3600)
    assert (first.run, second.run) == (1, 2)
    assert second.prefix == first.prefix == "15/"
    assert second.created_at > first.created_at == second.begun_at
