"""failed.jsonl runs as it is, also where an export API guards its files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluiceway.errors import InvalidJobError
from tests.support.deployment import Deployment
from tests.support.secrets import put_secret
from tests.support.source import Reply, Request, SourceServer

JOB, TOKEN = "guarded-1", "planted-download-token"


def guarded(request: Request) -> Reply:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}" or request.headers.get("Accept") != "text/csv":
        return Reply(b"", 401)
    return Reply(b"abc")


@pytest.fixture
def document(deployment: Deployment, source: SourceServer) -> dict[str, Any]:
    """A job whose one file fails, for its server is down."""
    listed = {"files": [{"url": "/a", "name": "in/{a}", "size": 3}]}
    source.replies |= {"/exports": Reply(json.dumps(listed).encode()), "/a": Reply(b"", 404)}
    return {"job_id": JOB, "source": {
        "type": "http",
        "auth": {"type": "bearer", "secret": put_secret(deployment, "api", TOKEN)},
        "start": {"url": source.url("/exports")},
        "files": {"list": "files", "key": "name", "size": "size"},
        "download": {"auth": "inherit", "headers": {"Accept": "text/csv"}},
    }}  # fmt: skip


def again(deployment: Deployment, **more: Any) -> dict[str, Any]:
    location = f"s3://{deployment.jobs_bucket}/jobs/{JOB}/failed.jsonl"
    return {"job_id": "again-1", "source": {"type": "manifest", "location": location}, **more}


def test_files_that_want_credentials_are_asked_for_with_them(
    deployment: Deployment, source: SourceServer, document: dict[str, Any]
) -> None:
    assert deployment.run(document)["status"] == "FAILED"
    assert TOKEN not in deployment.read(f"jobs/{JOB}/failed.jsonl").decode()
    source.replies["/a"] = guarded
    assert deployment.run(again(deployment))["status"] == "COMPLETED"
    assert deployment.landed() == {"in/{a}": b"abc"}
    (task,) = deployment.tasks("again-1")
    assert task.access is not None and task.access.startswith("jobs/again-1/access-")


def test_files_whose_link_must_be_asked_for_are_asked_for_anew(
    deployment: Deployment, source: SourceServer, document: dict[str, Any]
) -> None:
    described = document["source"]
    described["files"] = {"list": "files", "name": "in/a", "link": {"url": source.url("/links/1"), "link": "href"}}
    described["download"] = {"auth": "none"}
    source.replies["/links/1"] = lambda request: (
        Reply(b'{"href": "/a?n=1"}') if request.headers.get("Authorization") == f"Bearer {TOKEN}" else Reply(b"", 401)
    )
    assert deployment.run(document)["status"] == "FAILED"
    source.replies["/a"] = Reply(b"abc")
    assert deployment.run(again(deployment))["status"] == "COMPLETED"
    assert deployment.landed() == {"in/a": b"abc"}


def test_a_list_that_failed_twice_runs_a_third_time(
    deployment: Deployment, source: SourceServer, document: dict[str, Any]
) -> None:
    deployment.run(document)
    assert deployment.run(again(deployment))["status"] == "FAILED"
    source.replies["/a"] = guarded
    location = f"s3://{deployment.jobs_bucket}/jobs/again-1/failed.jsonl"
    third = {"job_id": "again-2", "source": {"type": "manifest", "location": location}}
    assert deployment.run(third)["status"] == "COMPLETED"


def test_an_object_that_is_not_there_is_told_by_the_line(deployment: Deployment, source: SourceServer) -> None:
    absent = "jobs/elsewhere/access-0123456789abcdef.json"
    lines = [json.dumps({"url": source.url("/a")}), json.dumps({"url": source.url("/b"), "access": absent})]
    listed = f"jobs/{JOB}/failed.jsonl"
    deployment.client("s3").put_object(Bucket=deployment.jobs_bucket, Key=listed, Body="\n".join(lines).encode())
    execution = deployment.new_execution()
    deployment.start(again(deployment), execution)
    with pytest.raises(
        InvalidJobError, match=f"file 2, access: expected an object of this .* bucket.*, found {absent}"
    ):
        deployment.invoke("dispatch_files", {"job_id": "again-1", "execution": execution})
    assert source.requests == []


@pytest.mark.parametrize("named", ["access", "headers_secret"])
def test_a_list_from_the_web_cannot_choose_where_secrets_go(
    deployment: Deployment, source: SourceServer, document: dict[str, Any], named: str
) -> None:
    deployment.run(document)
    (line,) = deployment.lines(JOB, "failed.jsonl")
    own = {"access": line["access"], "headers_secret": put_secret(deployment, "headers", json.dumps({"X-Key": TOKEN}))}
    entry = {"url": source.url("/a"), named: own[named]}
    source.replies["/list.jsonl"] = Reply(json.dumps(entry).encode())
    before = len(source.requests)
    from_the_web = again(deployment, source={"type": "manifest", "location": source.url("/list.jsonl")})
    assert deployment.run(from_the_web)["status"] == "FAILED"
    assert [request.path for request in source.requests[before:]] == ["/list.jsonl"]
    said = json.loads(deployment.read("jobs/again-1/summary.json"))["error"]
    assert said["type"] == "InvalidJobError"
    assert said["message"].startswith(f"file 1, {named}: expected it only in a list kept in S3")
