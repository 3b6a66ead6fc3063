"""Executions that are redriven after their job had ended with them: they keep their ARN, and go on with the job."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from sluiceway.errors import NotOwnerError
from tests.adapters.handlers.redrives import Executions, abort_uploads, status_event
from tests.support.deployment import Deployment, caught
from tests.support.source import Reply, SourceServer

JOB = "redriven"


def document(source: SourceServer, count: int = 3, **more: Any) -> dict[str, Any]:
    for n in range(count):
        source.replies[f"/{n}.csv"] = Reply(b"abc")
    return {"job_id": JOB, "source": {"type": "urls", "files": [source.url(f"/{n}.csv") for n in range(count)]}, **more}


def dispatched(deployment: Deployment, source: SourceServer, **more: Any) -> tuple[dict[str, str], Any]:
    execution = deployment.new_execution()
    deployment.start(document(source, **more), execution)
    owner = {"job_id": JOB, "execution": execution}
    answer = deployment.invoke("dispatch_files", owner)
    return owner, json.loads(deployment.read(answer["units_key"]))


@pytest.mark.parametrize(("status", "state"), [("TIMED_OUT", "FAILED"), ("ABORTED", "CANCELLED"), ("FAILED", "FAILED")])
def test_a_redrive_goes_on_with_what_its_execution_left(
    deployment: Deployment, source: SourceServer, executions: Executions, status: str, state: str
) -> None:
    owner, units = dispatched(deployment, source)
    deployment.process(owner, units[0])
    assert deployment.invoke("complete_job", status_event(owner["execution"], status))["status"] == state

    # Redriven: the children that had not ended, then the states behind the Map.
    executions.running[owner["execution"]] = 1
    for unit in units[1:]:
        deployment.process(owner, unit)
    answer = deployment.invoke("complete_job", owner)

    assert answer["status"] == "COMPLETED"
    assert answer["files"] == {"stored": 3, "skipped": 0, "rejected": 0, "failed": 0, "cancelled": 0}
    assert sorted(source.paths()) == ["/0.csv", "/1.csv", "/2.csv"]
    assert [line["status"] for line in deployment.lines(JOB, "report.jsonl")] == ["STORED"] * 3
    assert deployment.lines(JOB, "failed.jsonl") == []
    summary = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))
    assert (summary["run"], summary["error"], summary["files_total"]) == (2, None, 3)
    states = [event["detail"]["state"] for event in deployment.events()]
    assert states == ["REQUESTED", "TRANSFERRING", state, "TRANSFERRING", "COMPLETED"]


def test_a_unit_that_is_worked_again_moves_only_what_had_not_landed(
    deployment: Deployment, source: SourceServer, executions: Executions
) -> None:
    sizes = {"type": "urls", "files": [{"url": source.url(f"/{n}.csv"), "size": 3} for n in range(3)]}
    source.replies["/1.csv"] = Reply(b"", 404)
    execution = deployment.new_execution()
    document(source)
    source.replies["/1.csv"] = Reply(b"gone", 404)
    deployment.start({"job_id": JOB, "source": sizes}, execution)
    owner = {"job_id": JOB, "execution": execution}
    (unit,) = json.loads(deployment.read(deployment.invoke("dispatch_files", owner)["units_key"]))
    assert unit["count"] == 3
    deployment.process(owner, unit)
    deployment.invoke("complete_job", status_event(execution, "TIMED_OUT"))

    executions.running[execution] = 1
    source.replies["/1.csv"] = Reply(b"abc")
    deployment.process(owner, unit)

    assert deployment.invoke("complete_job", owner)["files"]["stored"] == 3
    assert sorted(source.paths()) == ["/0.csv", "/1.csv", "/1.csv", "/2.csv"]


def test_a_function_that_outlived_its_execution_resumes_nothing(
    deployment: Deployment, source: SourceServer, executions: Executions
) -> None:
    owner, units = dispatched(deployment, source)
    deployment.invoke("complete_job", status_event(owner["execution"], "ABORTED"))
    before = deployment.rows()

    for unit in units:
        deployment.process(owner, unit)

    assert (deployment.rows(), source.requests) == (before, [])


def test_the_event_of_the_end_before_the_redrive_ends_nothing(
    deployment: Deployment, source: SourceServer, executions: Executions
) -> None:
    owner, units = dispatched(deployment, source)
    event = status_event(owner["execution"], "TIMED_OUT", time.time() - 60)
    deployment.invoke("complete_job", event)
    executions.running[owner["execution"]] = 1
    deployment.process(owner, units[0])

    deployment.invoke("complete_job", event)

    assert deployment.jobs.get(JOB).state == "TRANSFERRING"
    executions.running.clear()
    ended = deployment.invoke("complete_job", status_event(owner["execution"], "ABORTED", time.time() + 1))
    assert (ended["status"], ended["files"]["stored"], ended["files"]["failed"]) == ("CANCELLED", 1, 2)


def test_an_execution_redriven_before_its_job_had_ended_goes_on_in_the_same_run(
    deployment: Deployment, source: SourceServer, executions: Executions
) -> None:
    owner, units = dispatched(deployment, source)
    deployment.process(owner, units[0])
    executions.running[owner["execution"]] = 1

    # It comes when the execution runs again.
    deployment.invoke("complete_job", status_event(owner["execution"], "TIMED_OUT"))
    assert deployment.jobs.get(JOB).state == "TRANSFERRING"
    for unit in units[1:]:
        deployment.process(owner, unit)

    answer = deployment.invoke("complete_job", owner)
    assert (answer["status"], answer["files"]["stored"], deployment.jobs.get(JOB).run) == ("COMPLETED", 3, 1)


def test_a_second_redrive_goes_on_as_well(deployment: Deployment, source: SourceServer, executions: Executions) -> None:
    owner, units = dispatched(deployment, source)
    for redrive, unit in enumerate(units):
        executions.running[owner["execution"]] = redrive
        deployment.process(owner, unit)
        executions.running.clear()
        deployment.invoke("complete_job", status_event(owner["execution"], "TIMED_OUT", time.time() + 1))
    executions.running[owner["execution"]] = 3
    deployment.process(owner, units[2])

    answer = deployment.invoke("complete_job", owner)

    assert (answer["status"], answer["files"]["stored"]) == ("COMPLETED", 3)
    assert sorted(source.paths()) == ["/0.csv", "/1.csv", "/2.csv"]


def test_an_all_or_nothing_job_that_had_staged_something_ends_at_once(
    deployment: Deployment, source: SourceServer, executions: Executions
) -> None:
    owner, units = dispatched(deployment, source, commit="all-or-nothing")
    deployment.process(owner, units[0])
    deployment.invoke("complete_job", status_event(owner["execution"], "TIMED_OUT"))
    abort_uploads(deployment)
    executions.running[owner["execution"]] = 1
    source.requests.clear()

    for unit in units[1:]:
        deployment.process(owner, unit)
    with pytest.raises(NotOwnerError, match=rf"FAILED: what it had staged was .*sluiceway rerun {JOB}") as error:
        deployment.commit(owner)

    assert deployment.invoke("complete_job", {**owner, "error": caught(error.value)})["status"] == "FAILED"
    assert (source.requests, deployment.landed(), deployment.unfinished_uploads()) == ([], {}, [])
    assert deployment.jobs.get(JOB).run == 1


def test_an_all_or_nothing_job_that_had_staged_nothing_goes_on(
    deployment: Deployment, source: SourceServer, executions: Executions
) -> None:
    owner, units = dispatched(deployment, source, commit="all-or-nothing")
    deployment.invoke("complete_job", status_event(owner["execution"], "TIMED_OUT"))
    executions.running[owner["execution"]] = 1

    for unit in units:
        deployment.process(owner, unit)
    assert deployment.landed() == {}
    deployment.commit(owner)

    answer = deployment.invoke("complete_job", owner)
    assert (answer["status"], answer["files"]["stored"]) == ("COMPLETED", 3)
    assert sorted(deployment.landed()) == ["0.csv", "1.csv", "2.csv"]


@pytest.mark.parametrize("commit", ["per-file", "all-or-nothing"])
def test_a_job_stopped_when_all_of_its_files_had_landed_is_judged_anew(
    deployment: Deployment, source: SourceServer, executions: Executions, commit: str
) -> None:
    owner, units = dispatched(deployment, source, commit=commit)
    for unit in units:
        deployment.process(owner, unit)
    if commit == "all-or-nothing":
        deployment.commit(owner)
    deployment.invoke("complete_job", status_event(owner["execution"], "ABORTED"))
    assert deployment.invoke("complete_job", owner)["status"] == "CANCELLED"  # repeated, not redriven

    executions.running[owner["execution"]] = 1
    answer = deployment.invoke("complete_job", owner)

    assert (answer["status"], answer["files"]["stored"]) == ("COMPLETED", 3)
    assert len(source.requests) == 3
    summary = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))
    assert (summary["run"], summary["status"], summary["error"]) == (2, "COMPLETED", None)


def test_a_failure_that_was_on_its_way_to_the_table_stays_one(
    deployment: Deployment, source: SourceServer, executions: Executions
) -> None:
    owner, units = dispatched(deployment, source)
    for unit in units[1:]:
        deployment.process(owner, unit)
    deployment.invoke("complete_job", status_event(owner["execution"], "TIMED_OUT"))
    executions.running[owner["execution"]] = 1

    # The child was stopped in RecordFailure, and runs that again: its file was already ended with the job.
    deployment.invoke("record_failure", {**owner, "unit": units[0], "error": {"Error": "Runtime.ExitError"}})
    answer = deployment.invoke("complete_job", owner)

    assert answer["status"] == "COMPLETED_WITH_FAILURES"
    assert (answer["files"]["stored"], answer["files"]["failed"]) == (2, 1)


def test_a_state_before_the_transfer_refuses_a_job_that_has_ended(
    deployment: Deployment, source: SourceServer, executions: Executions
) -> None:
    execution = deployment.new_execution()
    deployment.start(document(source), execution)
    owner = {"job_id": JOB, "execution": execution}
    deployment.invoke("complete_job", status_event(execution, "ABORTED"))
    executions.running[execution] = 1
    before = deployment.rows()

    why = rf"CANCELLED: its files were not listed yet, and its source .*\(sluiceway rerun {JOB}\)"
    with pytest.raises(NotOwnerError, match=why):
        deployment.start(document(source), execution)
    for function in ("poll_export", "dispatch_files"):
        with pytest.raises(NotOwnerError, match=why) as error:
            deployment.invoke(function, owner)

    assert deployment.invoke("complete_job", {**owner, "error": caught(error.value)})["status"] == "CANCELLED"
    assert deployment.rows() == before
    assert deployment.run(document(source))["status"] == "COMPLETED"  # what the text says to do


def test_complete_job_that_failed_itself_is_run_again(
    deployment: Deployment, source: SourceServer, executions: Executions, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, units = dispatched(deployment, source)
    for unit in units:
        deployment.process(owner, unit)
    bucket, services = deployment.jobs_bucket, deployment.services
    with monkeypatch.context() as broken:
        broken.setattr(services, "config", _elsewhere(services.config))
        for event in (owner, status_event(owner["execution"], "FAILED")):
            with pytest.raises(Exception, match="NoSuchBucket|does not exist"):
                deployment.invoke("complete_job", event)

    assert deployment.invoke("complete_job", owner)["status"] == "COMPLETED"
    assert bucket == deployment.services.config.jobs_bucket


def _elsewhere(config: Any) -> Any:
    from dataclasses import replace

    return replace(config, jobs_bucket="bucket-not-there")
