"""Executions that are redriven after their job had ended with them: they keep their ARN, and go on with the job."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluiceway import wiring
from sluiceway.errors import NotOwnerError
from tests.support.deployment import Deployment
from tests.support.source import Reply, SourceServer

JOB = "redriven"


@dataclass
class Executions:
    """What Step Functions says of executions: how often each that runs was redriven."""

    running: dict[str, int] = field(default_factory=dict[str, int])
    asked: list[str] = field(default_factory=list[str])

    def redrives(self, execution: str) -> int:
        self.asked.append(execution)
        return self.running.get(execution, 0)


@pytest.fixture
def executions(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Executions]:
    """moto knows no redrive."""
    executions = Executions()
    monkeypatch.setattr(wiring.services(), "executions", executions, raising=False)
    yield executions


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


def status_event(execution: str, status: str, stopped_at: float | None = None) -> dict[str, Any]:
    detail = {"executionArn": execution, "status": status, "stopDate": int((stopped_at or time.time()) * 1000)}
    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": detail,
    }


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
    assert len(executions.asked) == 1


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
    ended = deployment.invoke("complete_job", status_event(owner["execution"], "ABORTED", time.time() + 1))
    assert (ended["status"], ended["files"]["stored"], ended["files"]["failed"]) == ("CANCELLED", 1, 2)


def test_a_second_redrive_goes_on_as_well(deployment: Deployment, source: SourceServer, executions: Executions) -> None:
    owner, units = dispatched(deployment, source)
    for redrive, unit in enumerate(units):
        executions.running[owner["execution"]] = redrive
        deployment.process(owner, unit)
        deployment.invoke("complete_job", status_event(owner["execution"], "TIMED_OUT", time.time() + 1))
    executions.running[owner["execution"]] = 3
    deployment.process(owner, units[2])

    answer = deployment.invoke("complete_job", owner)

    assert (answer["status"], answer["files"]["stored"]) == ("COMPLETED", 3)
    assert sorted(source.paths()) == ["/0.csv", "/1.csv", "/2.csv"]


def test_an_all_or_nothing_job_is_not_resumed(
    deployment: Deployment, source: SourceServer, executions: Executions
) -> None:
    owner, units = dispatched(deployment, source, commit="all-or-nothing")
    deployment.process(owner, units[0])
    deployment.invoke("complete_job", status_event(owner["execution"], "TIMED_OUT"))
    executions.running[owner["execution"]] = 1

    for unit in units[1:]:
        deployment.process(owner, unit)
    with pytest.raises(NotOwnerError, match="has ended as FAILED"):
        deployment.commit(owner)

    assert deployment.invoke("complete_job", owner)["status"] == "FAILED"
    assert deployment.landed() == {}
    assert executions.asked == []


def test_a_state_before_the_transfer_refuses_a_job_that_has_ended(
    deployment: Deployment, source: SourceServer, executions: Executions
) -> None:
    execution = deployment.new_execution()
    deployment.start(document(source), execution)
    owner = {"job_id": JOB, "execution": execution}
    deployment.invoke("complete_job", status_event(execution, "ABORTED"))
    before = deployment.rows()

    with pytest.raises(NotOwnerError, match="has ended as CANCELLED"):
        deployment.start(document(source), execution)
    for function in ("poll_export", "dispatch_files"):
        with pytest.raises(NotOwnerError, match="has ended as CANCELLED"):
            deployment.invoke(function, owner)

    assert deployment.rows() == before
    assert deployment.invoke("complete_job", owner)["status"] == "CANCELLED"


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
