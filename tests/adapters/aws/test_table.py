"""Who owns a job, and in which state it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sluiceway.aws.rows import JobRow, from_attributes, to_attributes
from sluiceway.aws.table import JobTable
from sluiceway.errors import ContentionError, IllegalTransitionError, JobIsLiveError, NotOwnerError
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState, JobState
from tests.support.deployment import Deployment

FIRST, SECOND = "arn:first", "arn:second"


def take(deployment: Deployment, execution: str = FIRST, job_id: str = "j", **more: Any) -> JobRow:
    facts = {"document_key": "jobs/j/job.json", "destination": {"prefix": "p/"}, "limits": {"percent": 2.5}, **more}
    return deployment.jobs.take(job_id, execution, **facts)


def end(deployment: Deployment, job: JobRow, state: JobState = JobState.FAILED) -> JobRow:
    return deployment.jobs.change_state(job, state)


def test_a_new_job_begins_its_first_run(deployment: Deployment) -> None:
    job = take(deployment, task_token="token")

    assert (job.state, job.run, job.execution, job.previous) == ("REQUESTED", 1, FIRST, None)
    assert (job.destination, job.limits, job.task_token) == ({"prefix": "p/"}, {"percent": 2.5}, "token")
    assert deployment.jobs.find("j") == job
    assert deployment.jobs.job_of(FIRST) == "j"


def test_the_same_execution_may_take_its_job_again(deployment: Deployment) -> None:
    job = deployment.jobs.change_state(take(deployment), JobState.EXPORTING)
    assert take(deployment, destination={}) == job


def test_a_live_job_is_not_taken_from_its_execution(deployment: Deployment) -> None:
    job = take(deployment)
    with pytest.raises(JobIsLiveError, match="job j is REQUESTED, owned by arn:first"):
        take(deployment, SECOND)
    assert deployment.jobs.find("j") == job
    assert deployment.jobs.job_of(SECOND) is None


def test_an_ended_job_begins_another_run_with_nothing_of_the_last(deployment: Deployment) -> None:
    transferring = deployment.jobs.change_state(take(deployment), JobState.TRANSFERRING, files_total=5, bytes_total=9)
    end(deployment, transferring, JobState.COMPLETED)

    job = take(deployment, SECOND)

    assert (job.state, job.run, job.execution) == ("REQUESTED", 2, SECOND)
    assert (job.files_total, job.ended_at, job.previous, job.announced) == (None, None, None, None)
    assert deployment.jobs.job_of(FIRST) == deployment.jobs.job_of(SECOND) == "j"


class Racing:
    """Lets somebody else act between this execution's look at the job and its taking it."""

    def __init__(self, client: Any, *acts: Any) -> None:
        self._client, self._acts = client, list(acts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, **arguments: Any) -> Any:
        if self._acts:
            self._acts.pop(0)()
        return self._client.transact_write_items(**arguments)


@pytest.mark.parametrize("ended_before", [False, True])
def test_of_two_executions_that_race_one_gets_the_job(deployment: Deployment, ended_before: bool) -> None:
    if ended_before:
        end(deployment, take(deployment, "arn:zero"))
    racing = JobTable(Racing(deployment.jobs.client, lambda: take(deployment, FIRST)), deployment.table)

    with pytest.raises(JobIsLiveError):
        racing.take("j", SECOND, document_key="k", destination={}, limits={})
    assert deployment.jobs.get("j").execution == FIRST


def test_ownership_contested_again_and_again_is_given_up(deployment: Deployment) -> None:
    def another_run() -> None:
        end(deployment, take(deployment, f"arn:{len(acts)}"))

    acts = [another_run] * 9
    racing = Racing(deployment.jobs.client)
    racing._acts = acts
    with pytest.raises(ContentionError):
        JobTable(racing, deployment.table).take("j", SECOND, document_key="k", destination={}, limits={})


def test_a_state_changes_with_its_facts_and_remembers_the_one_before(deployment: Deployment) -> None:
    job = deployment.jobs.change_state(take(deployment), JobState.TRANSFERRING, files_total=3, bytes_total=7)
    assert (job.state, job.previous, job.files_total, job.bytes_total) == ("TRANSFERRING", "REQUESTED", 3, 7)
    assert job.ended_at is None
    assert end(deployment, job).ended_at is not None
    assert deployment.jobs.get("j").state == "FAILED"


def test_a_state_reached_already_takes_only_the_facts(deployment: Deployment) -> None:
    job = deployment.jobs.change_state(take(deployment), JobState.TRANSFERRING, files_total=3)
    again = deployment.jobs.change_state(job, JobState.TRANSFERRING, files_total=4)
    assert (again.files_total, again.previous) == (4, "REQUESTED")


def test_an_illegal_step_changes_nothing(deployment: Deployment) -> None:
    job = take(deployment)
    with pytest.raises(IllegalTransitionError):
        deployment.jobs.change_state(job, JobState.COMPLETED)
    assert deployment.jobs.find("j") == job


def test_a_stale_execution_changes_nothing(deployment: Deployment) -> None:
    stale = take(deployment)
    end(deployment, stale)
    job = take(deployment, SECOND)
    with pytest.raises(NotOwnerError):
        deployment.jobs.change_state(stale, JobState.TRANSFERRING)
    with pytest.raises(NotOwnerError):
        deployment.jobs.owned("j", FIRST)
    assert deployment.jobs.find("j") == job


def test_a_state_that_another_invocation_changed_meanwhile_is_not_overwritten(deployment: Deployment) -> None:
    job = take(deployment)
    end(deployment, job)
    with pytest.raises(NotOwnerError):
        deployment.jobs.change_state(job, JobState.TRANSFERRING)


def test_a_job_can_be_asked_to_stop(deployment: Deployment) -> None:
    take(deployment)
    deployment.jobs.request_cancel("j")
    assert deployment.jobs.get("j").cancel_requested
    with pytest.raises(KeyError):
        deployment.jobs.request_cancel("unknown")
    assert deployment.jobs.find("unknown") is None


def test_rows_expire(deployment: Deployment) -> None:
    take(deployment)
    assert all(int(row["expires_at"]["N"]) > 0 for row in deployment.rows())


def test_values_survive_the_table_s_notation() -> None:
    row = {"s": "x", "i": 5, "f": 2.5, "n": -3, "b": True, "none": None, "l": [1, "a"], "m": {"k": {"j": False}}}
    assert from_attributes(to_attributes(row)) == row
    with pytest.raises(TypeError):
        to_attributes({"x": object()})
    with pytest.raises(TypeError):
        from_attributes({"x": {"B": b""}})


def test_an_announced_state_is_noted(deployment: Deployment) -> None:
    job = take(deployment)
    assert deployment.jobs.mark_announced(job) == replace(job, announced="REQUESTED")


def test_a_jobs_row_outlives_those_of_its_files(deployment: Deployment) -> None:
    """Where it went first, the next run of the id would have their number, and find its files ended."""
    days = 7
    job = take(deployment, limits={"deadline_minutes": days * 24 * 60})
    at_the_deadline = replace(deployment.files, now=lambda: job.created_seconds + days * 24 * 3600)
    task = FileTask("https://h/a", "landing", "a")
    at_the_deadline.end("j", job.run, [(task, FileResult(FileState.STORED))])

    expires = {row["sk"]["S"].partition("#")[0]: int(row["expires_at"]["N"]) for row in deployment.rows()}

    assert expires["JOB"] >= max(expires["FILE"], expires["COUNTERS"]) + days * 24 * 3600
