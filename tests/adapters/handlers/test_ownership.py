"""Executions that come twice, too late, or not at all to their job's end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluiceway.errors import InvalidJobError, JobIsLiveError, NotOwnerError, SinkError
from sluiceway.jobs.files import FileResult
from sluiceway.jobs.states import FileState
from tests.support.deployment import Deployment
from tests.support.source import Reply, SourceServer

JOB = "acme-1"


def document(source: SourceServer, count: int = 2, **more: Any) -> dict[str, Any]:
    for n in range(count):
        source.replies[f"/{n}.csv"] = Reply(b"abc")
    return {"job_id": JOB, "source": {"type": "urls", "files": [source.url(f"/{n}.csv") for n in range(count)]}, **more}


def dispatched(deployment: Deployment, source: SourceServer, count: int = 2, **more: Any) -> tuple[dict[str, str], Any]:
    """A job up to its TransferFiles: who owns it, and its units."""
    execution = deployment.new_execution()
    deployment.start(document(source, count, **more), execution)
    owner = {"job_id": JOB, "execution": execution}
    answer = deployment.invoke("dispatch_files", owner)
    return owner, json.loads(deployment.read(answer["units_key"]))


def status_event(execution: str, status: str, **detail: str) -> dict[str, Any]:
    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {"executionArn": execution, "status": status, **detail},
    }


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


def test_a_stopped_execution_ends_its_job_cancelled(deployment: Deployment, source: SourceServer) -> None:
    owner, units = dispatched(deployment, source, 3)
    deployment.process(owner, units[0])

    answer = deployment.invoke("complete_job", status_event(owner["execution"], "ABORTED"))
    deployment.process(owner, units[1])

    assert (answer["status"], answer["files"]["stored"], answer["files"]["cancelled"]) == ("CANCELLED", 1, 2)
    assert deployment.landed().keys() == {"0.csv"}
    assert [line["status"] for line in deployment.lines(JOB, "report.jsonl")] == ["STORED", "CANCELLED", "CANCELLED"]
    again = [line["url"] for line in deployment.lines(JOB, "failed.jsonl")]
    assert again == [source.url("/1.csv"), source.url("/2.csv")]


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"status": "TIMED_OUT"}, "ExecutionTimedOut"),
        ({"status": "FAILED", "error": "States.Runtime", "cause": "broken"}, "States.Runtime"),
        ({"status": "FAILED"}, "ExecutionFailed"),
    ],
)
def test_an_execution_that_broke_ends_its_job_failed(
    deployment: Deployment, source: SourceServer, event: dict[str, str], error: str
) -> None:
    owner, units = dispatched(deployment, source)
    deployment.process(owner, units[0])

    answer = deployment.invoke("complete_job", status_event(owner["execution"], **event))

    assert (answer["status"], answer["files"]["stored"], answer["files"]["failed"]) == ("FAILED", 1, 1)
    (lost,) = [line for line in deployment.lines(JOB, "report.jsonl") if line["status"] == "FAILED"]
    assert lost["error"]["type"] == error


def test_the_status_event_after_the_end_changes_nothing(deployment: Deployment, source: SourceServer) -> None:
    owner, _ = dispatched(deployment, source)
    first = deployment.invoke("complete_job", owner)
    before = deployment.rows()
    assert deployment.invoke("complete_job", status_event(owner["execution"], "FAILED")) == first
    assert deployment.rows() == before


def test_a_file_without_an_end_is_accounted_for(deployment: Deployment, source: SourceServer) -> None:
    owner, units = dispatched(deployment, source, 130)
    deployment.process(owner, units[7])

    answer = deployment.invoke("complete_job", owner)

    assert (answer["status"], answer["files"]["stored"], answer["files"]["failed"]) == (
        "COMPLETED_WITH_FAILURES",
        1,
        129,
    )
    assert len(deployment.lines(JOB, "report.jsonl")) == 130
    assert deployment.files.counts(JOB, 1).failed == 129


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


def test_a_broken_invocation_fails_the_files_of_its_unit(deployment: Deployment, source: SourceServer) -> None:
    owner, units = dispatched(deployment, source)
    cause = {"errorMessage": "RequestId: 1 https://u:planted@h/x?planted", "errorType": "Runtime.ExitError"}
    error = {"Error": "Runtime.ExitError", "Cause": json.dumps(cause)}
    for _ in range(2):
        deployment.invoke("record_failure", {**owner, "unit": units[0], "error": error})
    deployment.process(owner, units[1])

    answer = deployment.invoke("complete_job", owner)

    assert (answer["files"]["failed"], answer["files"]["stored"]) == (1, 1)
    (failed,) = [line for line in deployment.lines(JOB, "report.jsonl") if line["status"] == "FAILED"]
    assert failed["error"] == {"type": "Runtime.ExitError", "message": "RequestId: 1 https://h/x?redacted"}
    assert len([event for event in deployment.events() if event["detail-type"] == "Sluiceway File State Change"]) == 1


def test_a_cause_that_is_no_json_is_told_as_it_is(deployment: Deployment, source: SourceServer) -> None:
    owner, units = dispatched(deployment, source, 1)
    event = {**owner, "unit": units[0], "error": {"Error": "States.Timeout", "Cause": "took too long"}}
    deployment.invoke("record_failure", event)
    assert deployment.invoke("complete_job", owner)["status"] == "FAILED"
    assert deployment.lines(JOB, "report.jsonl")[0]["error"] == {"type": "States.Timeout", "message": "took too long"}


def test_a_cancelled_job_begins_no_more_files(deployment: Deployment, source: SourceServer) -> None:
    owner, units = dispatched(deployment, source)
    deployment.jobs.request_cancel(JOB)
    for unit in units:
        deployment.process(owner, unit)
    answer = deployment.invoke("complete_job", owner)
    assert (answer["status"], answer["files"]["cancelled"], source.requests) == ("CANCELLED", 2, [])


def test_past_its_deadline_a_job_begins_no_more_files(deployment: Deployment, source: SourceServer) -> None:
    owner, units = dispatched(deployment, source, limits={"deadline_minutes": 1e-6})
    for unit in units:
        deployment.process(owner, unit)
    answer = deployment.invoke("complete_job", owner)
    assert (answer["status"], answer["files"]["cancelled"], source.requests) == ("FAILED", 2, [])
    assert json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]["type"] == "DeadlineExceededError"


def test_past_its_failure_limit_a_job_begins_no_more_files(deployment: Deployment, source: SourceServer) -> None:
    owner, units = dispatched(deployment, source, 4, limits={"failed_files_percent": 25})
    for n in (1, 2):
        source.replies[f"/{n}.csv"] = Reply(b"", 404)
    for unit in units:
        deployment.process(owner, unit)
    answer = deployment.invoke("complete_job", owner)
    assert answer["status"] == "FAILED"
    assert answer["files"] == {"stored": 1, "skipped": 0, "rejected": 0, "failed": 2, "cancelled": 1}
    assert "/3.csv" not in source.paths()


def test_the_documents_mistakes_end_the_job_with_its_outputs(deployment: Deployment) -> None:
    answer = deployment.run({"job_id": JOB, "source": {"type": "urls"}, "limits": {"max": 1}})
    assert answer["status"] == "FAILED"
    error = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]
    assert error["type"] == "InvalidJobError"
    assert (
        "source.files: expected a value" in error["message"]
        and "limits.max: expected no such field" in error["message"]
    )


@pytest.mark.parametrize(
    ("request_", "error"),
    [({}, InvalidJobError), ([], InvalidJobError), ({"job": 5}, InvalidJobError)],
)
def test_an_input_that_is_no_job_fails_under_the_executions_name(
    deployment: Deployment, request_: Any, error: type[Exception]
) -> None:
    execution = deployment.new_execution()
    with pytest.raises(error):
        deployment.invoke("start_export", {"input": request_, "execution": execution, "execution_name": "my:run"})
    assert deployment.invoke("complete_job", {"execution": execution})["job_id"] == "my-run"


@pytest.mark.parametrize(
    ("body", "error"),
    [(b"{", InvalidJobError), (b"\xff", InvalidJobError), (b"[]", InvalidJobError), (None, SinkError)],
)
def test_a_pointer_to_no_document_fails_the_job(
    deployment: Deployment, body: bytes | None, error: type[Exception]
) -> None:
    if body is not None:
        deployment.client("s3").put_object(Bucket=deployment.jobs_bucket, Key="requests/x", Body=body)
    execution = deployment.new_execution()
    pointer = {"bucket": deployment.jobs_bucket, "key": "requests/x"}
    with pytest.raises(error):
        deployment.start(pointer, execution, job_id=JOB)
    answer = deployment.invoke(
        "complete_job", {"execution": execution, "error": {"Error": error.__name__, "Cause": ""}}
    )
    assert (answer["job_id"], answer["status"]) == (JOB, "FAILED")


def test_a_pointer_to_a_document_is_followed(deployment: Deployment, source: SourceServer) -> None:
    body = json.dumps(document(source)).encode()
    deployment.client("s3").put_object(Bucket=deployment.jobs_bucket, Key="requests/x", Body=body)
    answer = deployment.run({"bucket": deployment.jobs_bucket, "key": "requests/x"})
    assert (answer["job_id"], answer["status"]) == (JOB, "COMPLETED")


def test_two_files_with_one_target_are_refused_before_any_transfer(
    deployment: Deployment, source: SourceServer
) -> None:
    files = [f"{source.url('/0.csv')}?a=planted", {"url": source.url("/1.csv"), "key": "0.csv"}]
    answer = deployment.run({"job_id": JOB, "source": {"type": "urls", "files": files}})
    assert (answer["status"], source.requests, deployment.landed()) == ("FAILED", [], {})
    error = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]
    assert error["type"] == "DuplicateTargetError"
    assert f"{source.url('/0.csv')}?redacted and {source.url('/1.csv')}" in error["message"]
