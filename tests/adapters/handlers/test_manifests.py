"""Manifests in S3 and on the web, and the secrets that files are asked for with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluiceway.errors import InvalidJobError, PolicyError, SecretError, SinkError, SourceStatusError
from tests.support.deployment import Deployment
from tests.support.secrets import put_secret
from tests.support.source import Reply, SourceServer, one_after_the_other

JOB = "acme-1"
SECRET = "planted-secret"


def manifest(location: str, **more: Any) -> dict[str, Any]:
    return {"job_id": JOB, "source": {"type": "manifest", "location": location, **more}}


def put_manifest(deployment: Deployment, body: str, key: str = "requests/list?#.csv") -> str:
    deployment.client("s3").put_object(Bucket=deployment.jobs_bucket, Key=key, Body=body.encode())
    return f"s3://{deployment.jobs_bucket}/{key}"


def test_a_manifest_in_s3_is_read(deployment: Deployment, source: SourceServer) -> None:
    source.replies["/a"] = Reply(b"abc")
    location = put_manifest(deployment, f"url,key,size\n{source.url('/a')},in/a.csv,3\n")
    assert deployment.run(manifest(location))["status"] == "COMPLETED"
    assert deployment.landed() == {"in/a.csv": b"abc"}


def test_a_manifest_on_the_web_is_read_with_the_headers_of_its_secret(
    deployment: Deployment, source: SourceServer
) -> None:
    put_secret(deployment, "list", json.dumps({"Authorization": SECRET}))
    source.replies |= {"/a": Reply(b"abc"), "/list.txt": Reply(f"# today\n{source.url('/a')}\n".encode())}

    answer = deployment.run(manifest(source.url("/list.txt?sig=planted"), headers_secret="sluiceway/list"))

    assert (answer["status"], deployment.landed()) == ("COMPLETED", {"a": b"abc"})
    sent = {request.path.partition("?")[0]: request.headers.get("Authorization") for request in source.requests}
    assert sent == {"/list.txt": SECRET, "/a": None}


def test_a_manifest_of_a_hundred_thousand_lines_needs_no_hundred_thousand_objects(
    deployment: Deployment, source: SourceServer
) -> None:
    execution = deployment.new_execution()
    lines = "".join(f"https://h/{n}.csv\n" for n in range(20_000))
    deployment.start(manifest(put_manifest(deployment, lines)), execution)
    answer = deployment.invoke("dispatch_files", {"job_id": JOB, "execution": execution})
    assert (answer["action"], answer["files"], answer["units"]) == ("TRANSFER", 20_000, 20_000)
    assert len(json.dumps(answer)) < 500
    assert deployment.jobs.get(JOB).files_total == 20_000


def test_a_path_is_for_the_command_only(deployment: Deployment) -> None:
    with pytest.raises(InvalidJobError, match=r"source.location: expected s3://bucket/key or an https:// URL"):
        deployment.start(manifest("lists/today.csv"), deployment.new_execution())


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("{s3}/requests/absent.csv", SinkError),
        ("{http}/absent.csv", SourceStatusError),
        ("http://169.254.169.254/latest/meta-data", PolicyError),
    ],
)
def test_a_manifest_that_cannot_be_read_fails_the_job(
    deployment: Deployment, source: SourceServer, location: str, error: type[Exception]
) -> None:
    execution = deployment.new_execution()
    location = location.format(s3=f"s3://{deployment.jobs_bucket}", http=source.url(""))
    deployment.start(manifest(location), execution)
    with pytest.raises(error):
        deployment.invoke("dispatch_files", {"job_id": JOB, "execution": execution})
    assert deployment.jobs.get(JOB).files_total is None


def test_a_wrong_entry_fails_the_job_before_any_transfer(deployment: Deployment, source: SourceServer) -> None:
    location = put_manifest(deployment, f"{source.url('/a')}\nnonsense\n", "requests/list.txt")
    answer = deployment.run(manifest(location))
    summary = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))
    assert (answer["status"], source.requests) == ("FAILED", [])
    assert summary["error"]["message"].startswith("list.txt line 2, url: expected a URL like")
    assert deployment.unfinished_uploads() == []


def test_failed_jsonl_runs_as_a_manifest(deployment: Deployment, source: SourceServer) -> None:
    source.replies["/a"] = one_after_the_other(Reply(b"", 404), Reply(b"abc"))
    failing = {"job_id": JOB, "source": {"type": "urls", "files": [source.url("/a?sig=1")]},
               "destination": {"prefix": "in/"}}  # fmt: skip
    assert deployment.run(failing)["status"] == "FAILED"

    again = manifest(f"s3://{deployment.jobs_bucket}/jobs/{JOB}/failed.jsonl") | {"job_id": "again"}
    assert deployment.run(again)["status"] == "COMPLETED"
    assert deployment.landed() == {"in/a": b"abc"}


def test_a_file_is_asked_for_with_the_headers_of_its_secret(deployment: Deployment, source: SourceServer) -> None:
    put_secret(deployment, "file", json.dumps({"X-Key": SECRET}))
    source.replies |= {"/a": Reply(b"a"), "/b": Reply(b"b")}
    files = [{"url": source.url("/a"), "headers_secret": "sluiceway/file"}, source.url("/b")]
    assert deployment.run({"job_id": JOB, "source": {"type": "urls", "files": files}})["status"] == "COMPLETED"
    assert [request.headers.get("X-Key") for request in source.requests] == [SECRET, None]
    assert SECRET not in json.dumps(deployment.rows()) + deployment.read(f"jobs/{JOB}/report.jsonl").decode()


@pytest.mark.parametrize(
    ("name", "error", "status"),
    [("sluiceway/absent", SecretError, "FAILED"), ("production/database", PolicyError, "REJECTED")],
)
def test_a_secret_that_cannot_be_had_ends_its_file(
    deployment: Deployment, source: SourceServer, name: str, error: type[Exception], status: str
) -> None:
    files = [{"url": source.url("/a"), "headers_secret": name}]
    deployment.run({"job_id": JOB, "source": {"type": "urls", "files": files}})
    (line,) = deployment.lines(JOB, "report.jsonl")
    assert (line["status"], line["error"]["type"], source.requests) == (status, error.__name__, [])
