"""Executions and functions that come twice or too late."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluiceway.errors import JobIsLiveError, NotOwnerError
from sluiceway.jobs.files import FileResult
from sluiceway.jobs.states import FileState
from tests.adapters.handlers.small_jobs import JOB, dispatched, document, status_event
from tests.support.deployment import Deployment
from tests.support.source import Reply, SourceServer


def test_a_second_execution_of_a_live_job_touches_nothing(deployment: Deployment, source: SourceServer) -> None:
    dispatched(deployment, source)
    before = (deployment.rows(), deployment.read(f"jobs/{JOB}/job.json"))

    second = deployment.new_execution()
    with pytest.raises(JobIsLiveError):
        deployment.start({"job_id": JOB, "source": {"type": "urls", "files": []}}, second)
    ended = deployment.invoke("complete_job", status_event(second, "FAILED"))

    assert ended["status"] == "FAILED"
    assert (deployment.rows(), deployment.read(f"jobs/{JOB}/job.json")) == before


def test_an_invalid_document_of_a_live_job_touches_nothing(deployment: Deployment, source: SourceServer) -> None:
    dispatched(deployment, source)
    before = deployment.rows()
    with pytest.raises(JobIsLiveError):
        deployment.start({"job_id": JOB, "sauce": 1}, deployment.new_execution())
    assert deployment.rows() == before


def test_every_function_may_be_invoked_twice(deployment: Deployment, source: SourceServer) -> None:
    execution = deployment.new_execution()
    owner = {"job_id": JOB, "execution": execution}

    started = [deployment.start(document(source), execution) for _ in range(2)]
    sent = [deployment.invoke("dispatch_files", owner) for _ in range(2)]
    for unit in json.loads(deployment.read(sent[0]["units_key"])) * 2:
        deployment.process(owner, unit)
    ended = [deployment.invoke("complete_job", owner) for _ in range(2)]

    for first, second in (started, sent, ended):
        assert first == second
    assert ended[0]["files"]["stored"] == 2
    assert source.paths() == ["/0.csv", "/1.csv"]
    states = [event["detail"]["state"] for event in deployment.events()]
    assert states == ["REQUESTED", "TRANSFERRING", "COMPLETED"]


def test_a_job_submitted_again_lands_everything_in_a_new_run(deployment: Deployment, source: SourceServer) -> None:
    source.replies["/0.csv"] = Reply(b"x", 404)
    broken = {"job_id": JOB, "source": {"type": "urls", "files": [source.url("/0.csv")]}}
    assert deployment.run(broken)["status"] == "FAILED"

    answer = deployment.run(document(source))

    assert (answer["status"], answer["files"]["stored"], answer["files"]["failed"]) == ("COMPLETED", 2, 0)
    assert json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["run"] == 2


def test_a_run_that_breaks_early_does_not_report_the_files_of_the_last(
    deployment: Deployment, source: SourceServer
) -> None:
    deployment.run(document(source))

    answer = deployment.run({"job_id": JOB, "source": {"type": "urls", "files": ["nonsense"]}})

    assert (answer["status"], sum(answer["files"].values())) == ("FAILED", 0)
    assert deployment.read(f"jobs/{JOB}/report.jsonl") == deployment.read(f"jobs/{JOB}/SHA256SUMS") == b""
    summary = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))
    assert (summary["run"], summary["files_total"], summary["error"]["type"]) == (2, 0, "InvalidJobError")
    assert "source.files[0].url: expected a URL" in summary["error"]["message"]


def test_a_stale_execution_lands_and_changes_nothing(deployment: Deployment, source: SourceServer) -> None:
    stale, units = dispatched(deployment, source)
    deployment.invoke("complete_job", status_event(stale["execution"], "ABORTED"))
    dispatched(deployment, source)
    before, requests = deployment.rows(), len(source.requests)

    for unit in units:
        assert deployment.invoke("process_file", {**stale, "unit": unit}) == {"action": "DONE"}
        error = {"Error": "States.Timeout", "Cause": ""}
        assert deployment.invoke("record_failure", {**stale, "unit": unit, "error": error}) == {"action": "DONE"}
    with pytest.raises(NotOwnerError):
        deployment.invoke("dispatch_files", stale)
    with pytest.raises(NotOwnerError):
        deployment.invoke("poll_export", stale)
    assert deployment.invoke("complete_job", stale)["status"] == "FAILED"

    assert (deployment.rows(), len(source.requests)) == (before, requests)


def test_a_unit_of_an_unknown_job_is_left_alone(deployment: Deployment) -> None:
    unit = {"manifest_key": "jobs/x/manifest.jsonl", "offset": 0, "length": 9, "count": 1}
    stray = {"job_id": "x", "execution": "arn", "unit": unit, "error": {"Error": "E"}}
    assert deployment.invoke("process_file", {name: stray[name] for name in ("job_id", "execution", "unit")})
    assert deployment.invoke("record_failure", stray) == {"action": "DONE"}
    assert deployment.invoke("complete_job", {"job_id": "x", "execution": "arn"})["status"] == "FAILED"
    assert deployment.rows() == []


def test_the_status_event_after_the_end_changes_nothing(deployment: Deployment, source: SourceServer) -> None:
    owner, _ = dispatched(deployment, source)
    first = deployment.invoke("complete_job", owner)
    before = deployment.rows()
    assert deployment.invoke("complete_job", status_event(owner["execution"], "FAILED")) == first
    assert deployment.rows() == before


def test_a_function_that_outlives_its_execution_may_still_have_ended_its_file(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, _ = dispatched(deployment, source, 1)
    results, stored = type(deployment.files).results, FileResult(FileState.STORED, 3)

    def stale_results(self: Any, job_id: str, run: int, tasks: Any) -> Any:
        monkeypatch.setattr(type(self), "results", results)
        found = results(self, job_id, run, tasks)
        self.end(job_id, run, [(tasks[0], stored)])
        return found

    monkeypatch.setattr(type(deployment.files), "results", stale_results)
    answer = deployment.invoke("complete_job", owner)

    assert (answer["status"], answer["files"]["stored"]) == ("COMPLETED", 1)
    assert deployment.files.counts(JOB, 1).stored == 1
