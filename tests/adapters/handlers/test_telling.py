"""What is told while a job runs and when it has ended: progress, events, metrics, the task token."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest

from sluiceway.aws.events import EventBus
from sluiceway.aws.file_table import FileTable
from sluiceway.aws.tasks import TaskTokens
from sluiceway.errors import PublishError
from sluiceway.steps import processing
from tests.conftest import AwsServer
from tests.support.deployment import Deployment, deploy
from tests.support.source import Body, Reply, Request, SourceServer

JOB = "acme-1"
MIB = 1024**2


def document(source: SourceServer, *names: str, **more: Any) -> dict[str, Any]:
    return {"job_id": JOB, "source": {"type": "urls", "files": [source.url(name) for name in names]}, **more}


def test_a_file_in_flight_is_shown_and_then_removed(
    moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, source: SourceServer
) -> None:
    hold = threading.Event()
    source.replies["/slow.bin"] = Reply(Body(9 * MIB), hold=hold)
    with deploy(moto_server, monkeypatch, allowed_sources=source.host, progress_seconds="0") as deployment:
        running = threading.Thread(target=lambda: deployment.run(document(source, "/slow.bin")))
        running.start()
        shown: list[dict[str, Any]] = []
        while not shown and running.is_alive():
            shown = deployment.files.progress(JOB)
        hold.set()
        running.join()

        assert [(row["key"], row["size"]) for row in shown] == [("slow.bin", None)]
        assert 0 < shown[0]["bytes"] <= 9 * MIB
        assert deployment.files.progress(JOB) == []
        assert deployment.landed()["slow.bin"] == Body(9 * MIB).read()


def test_a_quick_file_writes_no_progress(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.replies["/a"] = Reply(Body(MIB))
    shown: list[str] = []
    monkeypatch.setattr(FileTable, "set_progress", lambda self, *_: shown.append("set"))
    monkeypatch.setattr(FileTable, "remove_progress", lambda self, *_: shown.append("removed"))
    assert deployment.run(document(source, "/a"))["status"] == "COMPLETED"
    assert shown == []


def test_file_events_are_those_the_setting_names(
    moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, source: SourceServer
) -> None:
    source.replies["/a"] = Reply(b"abc")
    with deploy(moto_server, monkeypatch, allowed_sources=source.host, file_events="STORED") as deployment:
        deployment.run(document(source, "/a", "/absent"))
        told = [e["detail"] for e in deployment.events() if e["detail-type"] == "Sluiceway File State Change"]
    assert [(detail["key"], detail["state"], detail["bytes"]) for detail in told] == [("a", "STORED", 3)]


def test_the_last_event_of_a_job_carries_its_counts(deployment: Deployment, source: SourceServer) -> None:
    source.replies["/a"] = Reply(b"abc")
    deployment.run(document(source, "/a", "/absent"))
    last = deployment.events()[-1]["detail"]
    assert (last["state"], last["previous"], last["bytes"]) == ("COMPLETED_WITH_FAILURES", "TRANSFERRING", 3)
    assert last["files"] == {"stored": 1, "skipped": 0, "rejected": 0, "failed": 1, "cancelled": 0}


def test_an_event_that_could_not_be_sent_is_sent_by_the_next_invocation(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = deployment.new_execution()
    publish, failures = EventBus.publish, [PublishError("refused")]

    def refuse_once(self: EventBus, events: Any) -> None:
        if failures:
            raise failures.pop()
        publish(self, events)

    monkeypatch.setattr(EventBus, "publish", refuse_once)
    with pytest.raises(PublishError):
        deployment.start(document(source), execution)
    deployment.start(document(source), execution)
    assert [event["detail"]["state"] for event in deployment.events()] == ["REQUESTED"]


def test_a_file_that_is_there_already_is_skipped(deployment: Deployment, source: SourceServer) -> None:
    source.replies["/a"] = Reply(b"new")
    deployment.client("s3").put_object(Bucket=deployment.landing_bucket, Key="a", Body=b"old")
    answer = deployment.run(document(source, "/a", destination={"if_exists": "never"}))
    assert (answer["status"], answer["files"]["skipped"], deployment.landed()) == ("COMPLETED", 1, {"a": b"old"})
    assert deployment.lines(JOB, "failed.jsonl") == []


def test_a_file_that_has_not_changed_is_skipped(deployment: Deployment, source: SourceServer) -> None:
    def answer(request: Request) -> Reply:
        same = request.headers.get("If-None-Match") == '"v1"'
        return Reply(b"", 304) if same else Reply(b"abc", headers={"ETag": '"v1"'})

    source.replies["/a"] = answer
    again = document(source, "/a", destination={"if_exists": "skip-unchanged"})
    ends = [deployment.run(again)["files"] for _ in range(2)]
    assert [(end["stored"], end["skipped"]) for end in ends] == [(1, 0), (0, 1)]
    assert deployment.landed() == {"a": b"abc"}


class Tokens:
    def __init__(self) -> None:
        self.answers: list[tuple[str, ...]] = []

    def send_task_success(self, taskToken: str, output: str) -> None:
        self.answers.append((taskToken, json.loads(output)["status"]))

    def send_task_failure(self, taskToken: str, error: str, cause: str) -> None:
        self.answers.append((taskToken, error, cause))


@pytest.fixture
def tokens(deployment: Deployment) -> Tokens:
    client = Tokens()
    deployment.services.tokens = TaskTokens(client)
    return client


def test_a_task_token_is_answered_once_with_the_summary(
    deployment: Deployment, source: SourceServer, tokens: Tokens
) -> None:
    source.replies["/a"] = Reply(b"abc")
    execution = deployment.new_execution()
    deployment.run(document(source, "/a", task_token="planted-token"), execution)
    deployment.invoke("complete_job", {"job_id": JOB, "execution": execution})
    assert tokens.answers == [("planted-token", "COMPLETED")]


@pytest.mark.parametrize(
    ("broken", "error"),
    [({}, "NoFileLandedError"), ({"limits": {"max": 1}}, "InvalidJobError")],
    ids=["no file", "document"],
)
def test_a_task_token_is_told_of_failure(
    deployment: Deployment, source: SourceServer, tokens: Tokens, broken: dict[str, Any], error: str
) -> None:
    deployment.run(document(source, "/absent", task_token="t", **broken))
    ((token, told, cause),) = tokens.answers
    assert (token, told) == ("t", error)
    assert cause


def test_an_error_of_ours_fails_its_file_and_no_other(
    moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, source: SourceServer
) -> None:
    source.replies |= {"/a": Reply(b"a"), "/b": Reply(b"b"), "/c": Reply(b"c")}
    land = processing.land_or_pause

    def break_on_b(task: Any, *rest: Any) -> Any:
        if task.key == "b":
            raise RuntimeError("a bug")
        return land(task, *rest)

    monkeypatch.setattr(processing, "land_or_pause", break_on_b)
    with deploy(moto_server, monkeypatch, allowed_sources=source.host, batch_files="3") as deployment:
        answer = deployment.run(document(source, "/a", "/b", "/c"))
        errors = {line["key"]: line["error"] for line in deployment.lines(JOB, "report.jsonl")}
    assert (answer["files"]["stored"], answer["files"]["failed"]) == (2, 1)
    assert errors == {"a": None, "b": {"type": "RuntimeError", "message": "a bug"}, "c": None}


def test_files_are_counted_in_metrics(
    deployment: Deployment, source: SourceServer, capsys: pytest.CaptureFixture[str], logs: io.StringIO
) -> None:
    busy = Reply(status=503, headers={"Retry-After": "0"})
    answers = iter([busy, busy, Reply(status=404)])
    source.replies |= {"/a": Reply(b"abc"), "/absent": lambda request: next(answers)}
    deployment.run(document(source, "/a", "/absent"))
    blobs = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    assert sum(sum(blob.get("BytesTransferred", [])) for blob in blobs) == 3
    assert sum(sum(blob.get("FilesStored", [])) for blob in blobs) == 1
    assert sum(sum(blob.get("FilesFailed", [])) for blob in blobs) == 1
    measured = ("SourceWaitSeconds", "SinkWaitSeconds", "HashSeconds", "PoolWaits", "PartRetries", "SourceResumes")
    counts = {name: [value for blob in blobs for value in blob.get(name, [])] for name in measured}
    # Of both, the one that failed too.
    assert {name: len(values) for name, values in counts.items()} == dict.fromkeys(measured, 2)
    assert all(seconds > 0 for seconds in counts["SourceWaitSeconds"])
    assert max(counts["HashSeconds"]) > 0 and max(counts["SinkWaitSeconds"]) > 0
    assert counts["PoolWaits"] == counts["PartRetries"] == [0, 0]
    assert sorted(counts["SourceResumes"]) == [0, 2]
    assert all(megabytes > 0 for blob in blobs for megabytes in blob.get("PeakMemoryMB", []))
    assert any("PeakMemoryMB" in blob for blob in blobs)
    report = {line["key"]: line["source_resumes"] for line in deployment.lines(JOB, "report.jsonl")}
    assert report == {"a": 0, "absent": 2}
    dimensions = {
        name for blob in blobs for spec in blob["_aws"]["CloudWatchMetrics"] for name in spec["Dimensions"][0]
    }
    assert dimensions == {"service"}
    ended = [json.loads(line) for line in logs.getvalue().splitlines() if "file ended" in line]
    assert {(line["job_id"], line["key"], line["state"]) for line in ended} == {
        (JOB, "a", "STORED"),
        (JOB, "absent", "FAILED"),
    }
