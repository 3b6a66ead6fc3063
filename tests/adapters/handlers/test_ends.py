"""Jobs that end otherwise than by their last file: stopped, broken, cancelled, past a limit, or with files left."""

from __future__ import annotations

import json

import pytest

from cli.jobs import JobsClient
from sluiceway.aws.rows import to_attributes
from tests.adapters.handlers.small_jobs import JOB, dispatched, status_event
from tests.support.deployment import Deployment
from tests.support.source import Reply, SourceServer


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


def test_an_ended_job_has_nothing_in_flight(deployment: Deployment, source: SourceServer) -> None:
    owner, _ = dispatched(deployment, source)
    dynamodb = deployment.client("dynamodb")
    left = {"pk": f"JOB#{JOB}", "sk": "PROGRESS#1", "key": "0.csv", "bytes": 2, "size": 3}
    dynamodb.put_item(TableName=deployment.table, Item=to_attributes(left))
    jobs = JobsClient(deployment.client("s3"), dynamodb, None, deployment.jobs_bucket, deployment.table, "")
    running = jobs.read(JOB)
    assert running is not None and (running.bytes, [file.key for file in running.in_flight]) == (2, ["0.csv"])

    deployment.invoke("complete_job", status_event(owner["execution"], "ABORTED"))

    ended = jobs.read(JOB)
    assert ended is not None and (ended.state, ended.bytes, ended.in_flight) == ("CANCELLED", 0, ())


def test_past_its_deadline_a_job_begins_no_more_files(deployment: Deployment, source: SourceServer) -> None:
    owner, units = dispatched(deployment, source, limits={"deadline_minutes": 1e-6})
    for unit in units:
        deployment.process(owner, unit)
    answer = deployment.invoke("complete_job", owner)
    assert (answer["status"], answer["files"]["cancelled"], source.requests) == ("FAILED", 2, [])
    assert json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"] == {
        "type": "DeadlineExceededError",
        "message": "the job's deadline passed before every file had come to its end",
    }
    # One that was being moved had had its turn, so nothing is said of that.
    reasons = {line["reason"] for line in deployment.lines(JOB, "report.jsonl")}
    assert reasons == {"the job's deadline passed before this file had landed"}


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"failed_files_percent": 25}, "failed_files_percent allows 25 %"),
        ({"failed_files": 1}, "failed_files allows 1"),
        ({"failed_files_percent": 90, "failed_files": 1}, "failed_files allows 1"),
    ],
)
def test_past_its_failure_limit_a_job_begins_no_more_files(
    deployment: Deployment, source: SourceServer, limits: dict[str, int], told: str
) -> None:
    owner, units = dispatched(deployment, source, 4, limits=limits)
    for n in (1, 2):
        source.replies[f"/{n}.csv"] = Reply(b"", 404)
    for unit in units:
        deployment.process(owner, unit)
    answer = deployment.invoke("complete_job", owner)
    assert answer["status"] == "FAILED"
    assert answer["files"] == {"stored": 1, "skipped": 0, "rejected": 0, "failed": 2, "cancelled": 1}
    assert "/3.csv" not in source.paths()
    error = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]
    assert error["type"] == "TooManyFilesFailedError"
    assert error["message"] == f"2 of 4 files failed or were rejected; {told}"
    events = [event["detail"] for event in deployment.events() if event["detail-type"] == "Sluiceway Job State Change"]
    assert (events[-1]["state"], events[-1]["error"], deployment.jobs.get(JOB).error) == ("FAILED", error, error)
