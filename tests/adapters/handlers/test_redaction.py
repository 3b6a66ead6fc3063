"""Secrets planted wherever a job may hold one: in a link's query, in headers for its files, in a redirect's user-info,
in an error that nobody foresaw. Only what is private to the job may show them, while it runs and afterwards.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sluiceway.errors import SluicewayError
from sluiceway.jobs.states import FILE_ENDS
from sluiceway.steps import processing, segmenting
from tests.conftest import AwsServer
from tests.support.deployment import Deployment, caught, deploy
from tests.support.secrets import put_secret
from tests.support.source import Body, Reply, SourceServer, ranged
from tests.support.waiting import wait_until

JOB = "secret-1"
MIB = 1024**2
# Each part of the job plants a word of its own, so that a failure tells who leaked.
QUERY, HEADER, USER, UNFORESEEN = "planted-query", "planted-header", "planted-user", "planted-unforeseen"
PUBLIC = ("report.jsonl", "SHA256SUMS", "summary.json", "units.json")


@pytest.fixture
def deployment(moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, source: SourceServer) -> Iterator[Deployment]:
    """Tells all it can: an event for every file's end, a progress row at every read."""
    told = {
        "progress_seconds": "0",
        "file_events": ",".join(sorted(FILE_ENDS)),
        "part_mib": "5",
        "split_bytes": str(5 * MIB),
    }
    with deploy(moto_server, monkeypatch, allowed_sources=source.host, **told) as deployment:
        yield deployment


def document(deployment: Deployment, source: SourceServer, *names: str, **fields: Any) -> dict[str, Any]:
    secret = put_secret(deployment, "redaction", json.dumps({"X-Token": HEADER}))
    files = [{"url": source.url(f"/{name}?sig={QUERY}"), "headers_secret": secret, **fields} for name in names]
    return {"job_id": JOB, "source": {"type": "urls", "files": files}}


def leaks(*seen: object) -> list[str]:
    return [text for text in map(str, seen) if "planted" in text]


def outputs(deployment: Deployment) -> list[str]:
    return [deployment.read(f"jobs/{JOB}/{name}").decode() for name in PUBLIC]


def test_nothing_public_shows_a_secret_while_a_job_runs_or_afterwards(
    deployment: Deployment, source: SourceServer, logs: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    hold = threading.Event()
    source.replies |= {
        "/held.bin": Reply(Body(11 * MIB), hold=hold),
        "/wrong.bin": Reply(Body(5000)),
        "/moved.bin": Reply(status=302, headers={"Location": f"http://me:{USER}@{source.host}/held.bin?sig={QUERY}"}),
        "/taken.bin": Reply(b"abc"),
    }
    job = document(deployment, source, "held.bin", "wrong.bin", "moved.bin", "taken.bin", "absent.bin")
    job["source"]["files"][1]["sha256"] = "00" * 32
    job["destination"] = {"if_exists": "never"}
    deployment.client("s3").put_object(Bucket=deployment.landing_bucket, Key="taken.bin", Body=b"there")
    with caplog.at_level("DEBUG", "urllib3"), caplog.at_level("DEBUG", "sluiceway"):
        answers: list[dict[str, Any]] = []
        running = threading.Thread(target=lambda: answers.append(deployment.run(job)), daemon=True)
        running.start()
        try:
            wait_until(lambda: deployment.files.progress(JOB))
            meanwhile = [json.dumps(deployment.rows()), logs.getvalue(), caplog.text]
        finally:
            hold.set()
            running.join(60)

    report = deployment.lines(JOB, "report.jsonl")
    assert {line["key"]: line["status"] for line in report} == {
        "held.bin": "STORED",
        "wrong.bin": "REJECTED",
        "moved.bin": "REJECTED",
        "taken.bin": "SKIPPED",
        "absent.bin": "FAILED",
    }
    # The secrets were there to be leaked: they were sent, and what is private to the job holds the links.
    assert {request.headers["X-Token"] for request in source.requests} == {HEADER}
    assert all(f"sig={QUERY}" in request.path for request in source.requests)
    private = [
        deployment.read(f"jobs/{JOB}/{name}").decode() for name in ("job.json", "manifest.jsonl", "failed.jsonl")
    ]
    assert all(QUERY in text and HEADER not in text for text in private)

    events = deployment.events()
    told = {event["detail"]["state"] for event in events if event["detail-type"] == "Sluiceway File State Change"}
    assert told == {"STORED", "REJECTED", "SKIPPED", "FAILED"}
    assert "PROGRESS#" in meanwhile[0] and "file ended" in logs.getvalue()
    assert "Starting new HTTP connection" in caplog.text
    heads = [
        deployment.client("s3").head_object(Bucket=deployment.landing_bucket, Key=key) for key in deployment.landed()
    ]
    assert not leaks(
        *meanwhile, *outputs(deployment), json.dumps(deployment.rows()), json.dumps(events), answers, heads
    )
    assert not leaks(logs.getvalue(), caplog.text)


def test_of_a_failed_file_the_list_to_run_again_has_its_link_and_no_other_secret(
    deployment: Deployment, source: SourceServer
) -> None:
    source.replies["/moved"] = Reply(status=302, headers={"Location": f"http://me:{USER}@10.0.0.1/x?sig={USER}"})
    deployment.run(document(deployment, source, "moved", "absent"))

    lines = deployment.lines(JOB, "failed.jsonl")
    assert [line.pop("url") for line in lines] == [source.url(f"/{name}?sig={QUERY}") for name in ("moved", "absent")]
    assert not leaks(*lines)


def test_a_cancelled_job_shows_no_secret_of_the_files_it_never_began(
    deployment: Deployment, source: SourceServer, logs: io.StringIO
) -> None:
    execution = deployment.new_execution()
    owner = {"execution": execution, "job_id": JOB}
    deployment.start(document(deployment, source, "a", "b"), execution)
    units = json.loads(deployment.read(deployment.invoke("dispatch_files", owner)["units_key"]))
    deployment.jobs.request_cancel(JOB)
    for unit in units:
        deployment.process(owner, unit)

    answer = deployment.invoke("complete_job", owner)

    assert (answer["status"], answer["files"]["cancelled"]) == ("CANCELLED", 2)
    events, rows = json.dumps(deployment.events()), json.dumps(deployment.rows())
    assert not leaks(*outputs(deployment), events, rows, logs.getvalue(), answer)


def test_an_error_that_nobody_foresaw_shows_no_secret(
    deployment: Deployment, source: SourceServer, logs: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a function raises stands in Lambda's log and in the execution's history, which more people read than may
    see a link."""

    def broken(task: Any, *_: Any) -> None:
        raise RuntimeError(f"it broke at {task.url}&more={UNFORESEEN}")

    monkeypatch.setattr(processing, "land_or_pause", broken)
    execution = deployment.new_execution()
    owner = {"execution": execution, "job_id": JOB}
    deployment.start(document(deployment, source, "a"), execution)
    (unit,) = json.loads(deployment.read(deployment.invoke("dispatch_files", owner)["units_key"]))
    with pytest.raises(RuntimeError, match="it broke at http") as raised:
        deployment.invoke("process_file", {**owner, "unit": unit})
    deployment.invoke("record_failure", {**owner, "unit": unit, "error": caught(raised.value)})
    answer = deployment.invoke("complete_job", owner)

    assert (answer["status"], answer["files"]["failed"]) == ("FAILED", 1)
    (line,) = deployment.lines(JOB, "report.jsonl")
    assert line["error"] == {"type": "RuntimeError", "message": f"it broke at {source.url('/a')}?redacted"}
    events, rows = json.dumps(deployment.events()), json.dumps(deployment.rows())
    assert not leaks(*outputs(deployment), events, rows, logs.getvalue(), answer, caught(raised.value))


def test_an_error_that_nobody_foresaw_in_a_segment_shows_no_secret(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = Body(11 * MIB).read()

    def broken(task: Any, *_: Any) -> None:
        raise RuntimeError(f"it broke at {task.url}")

    source.replies["/large"] = lambda request: ranged(body, request)
    execution = deployment.new_execution()
    owner = {"execution": execution, "job_id": JOB}
    deployment.start({**document(deployment, source, "large"), "split": "crc"}, execution)
    (unit,) = json.loads(deployment.read(deployment.invoke("dispatch_files", owner)["units_key"]))
    begun = deployment.invoke("process_file", {**owner, "unit": unit})
    assert begun["action"] == "SPLIT"
    monkeypatch.setattr(segmenting, "move_segment", broken)
    with pytest.raises(RuntimeError) as raised:
        deployment.invoke("move_segment", {**begun, "n": 0})
    deployment.invoke("record_failure", {**begun, "error": caught(raised.value)})

    assert str(raised.value) == f"it broke at {source.url('/large')}?redacted"
    assert deployment.invoke("complete_job", owner)["status"] == "FAILED"
    assert not leaks(begun, *outputs(deployment), json.dumps(deployment.rows()), json.dumps(deployment.events()))


def test_a_mistake_in_a_link_is_told_without_its_secrets(deployment: Deployment) -> None:
    files = [f"http://me:{USER}@files.example.org/a?sig={QUERY}", f"nonsense?{QUERY}"]
    execution = deployment.new_execution()
    with pytest.raises(SluicewayError) as raised:
        deployment.start({"job_id": JOB, "source": {"type": "urls", "files": files}}, execution)
    deployment.invoke("complete_job", {"execution": execution, "job_id": JOB, "error": caught(raised.value)})
    for n in range(2):
        assert f"source.files[{n}].url" in str(raised.value)
    events, rows = json.dumps(deployment.events()), json.dumps(deployment.rows())
    assert not leaks(raised.value, deployment.read(f"jobs/{JOB}/summary.json").decode(), events, rows)


def test_a_credential_in_a_document_is_refused_and_kept_nowhere(deployment: Deployment, source: SourceServer) -> None:
    start = {"url": source.url("/exports"), "headers": {"Authorization": f"Bearer {HEADER}"}}
    job = {"job_id": JOB, "source": {"type": "http", "start": start, "files": {"list": "files"}}}
    answer = deployment.run(job)
    told = deployment.read(f"jobs/{JOB}/summary.json").decode()
    assert (answer["status"], source.requests) == ("FAILED", [])
    assert "source.start.headers: expected headers without credentials: they belong in a secret" in told
    kept = deployment.client("s3").list_objects_v2(Bucket=deployment.jobs_bucket, Prefix=f"jobs/{JOB}/")["Contents"]
    assert not leaks(*(deployment.read(each["Key"]) for each in kept), json.dumps(deployment.rows()), answer)


def test_a_password_in_somebody_elses_list_rejects_its_file_and_is_kept_nowhere(
    deployment: Deployment, source: SourceServer, logs: io.StringIO
) -> None:
    held = {"url": f"http://me:{USER}@{source.host}/b?sig={QUERY}", "key": "b"}
    lines = [json.dumps(each) for each in (held, {"url": source.url("/a")})]
    source.replies |= {"/a": Reply(b"abc"), "/list.jsonl": Reply("\n".join(lines).encode())}

    answer = deployment.run({"job_id": JOB, "source": {"type": "manifest", "location": source.url("/list.jsonl")}})

    assert (answer["status"], deployment.landed()) == ("COMPLETED_WITH_FAILURES", {"a": b"abc"})
    assert [request.path for request in source.requests] == ["/list.jsonl", "/a"]
    (line,) = [each for each in deployment.lines(JOB, "report.jsonl") if each["key"] == "b"]
    assert (line["status"], line["error"]["type"]) == ("REJECTED", "PolicyError")
    assert "user-info in a URL is not allowed" in line["error"]["message"]
    assert [task.url for task in deployment.tasks(JOB) if task.key == "b"] == [
        f"http://redacted@{source.host}/b?redacted"
    ]
    kept = deployment.client("s3").list_objects_v2(Bucket=deployment.jobs_bucket, Prefix=f"jobs/{JOB}/")["Contents"]
    assert {each["Key"] for each in kept} > {f"jobs/{JOB}/{name}" for name in ("manifest.jsonl", "failed.jsonl")}
    assert not leaks(*(deployment.read(each["Key"]) for each in kept), json.dumps(deployment.rows()), logs.getvalue())

    # What did not land can be run as it is, and is rejected for the same reason.
    failed = f"s3://{deployment.jobs_bucket}/jobs/{JOB}/failed.jsonl"
    again = deployment.run({"job_id": "again-1", "source": {"type": "manifest", "location": failed}})
    assert (again["status"], again["files"]["rejected"]) == ("FAILED", 1)
