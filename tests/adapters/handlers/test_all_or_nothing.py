"""Jobs whose files become visible together or not at all."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.support.deployment import Deployment, forget_services
from tests.support.source import Body, Reply, SourceServer, ranged


def document(source: SourceServer, *files: object, **more: object) -> dict[str, object]:
    listed = {"type": "urls", "files": list(files)}
    return {"job_id": "together", "source": listed, "commit": "all-or-nothing", **more}


@pytest.fixture
def files(source: SourceServer) -> SourceServer:
    source.replies |= {
        "/a": Reply(Body(1000, seed=1)),
        "/empty": Reply(b""),
        "/large": Reply(Body(11 * 1024**2, seed=3)),
    }
    return source


def test_nothing_is_visible_before_the_commit_and_everything_after(deployment: Deployment, files: SourceServer) -> None:
    owner = deployment.transfer(document(files, *map(files.url, ("/a", "/empty", "/large"))))
    assert deployment.landed() == {}
    assert len(deployment.unfinished_uploads()) == 3

    assert deployment.commit(owner)["action"] == "DONE"
    answer = deployment.invoke("complete_job", owner)

    assert answer["status"] == "COMPLETED"
    assert {key: len(body) for key, body in deployment.landed().items()} == {
        "a": 1000,
        "empty": 0,
        "large": 11 * 1024**2,
    }
    assert deployment.unfinished_uploads() == []
    sums = {line["key"]: line["sha256"] for line in deployment.lines("together", "report.jsonl")}
    assert sums["large"] == Body(11 * 1024**2, seed=3).digest()


def test_every_object_carries_its_sha256(deployment: Deployment, files: SourceServer) -> None:
    stated = Body(2000, seed=2)
    files.replies["/stated"] = Reply(stated)
    entries = [{"url": files.url("/stated"), "sha256": stated.digest()}, *map(files.url, ("/a", "/empty", "/large"))]
    tagged = document(files, *entries, destination={"tags": {"team": "x"}})
    deployment.commit(deployment.transfer(tagged))

    s3 = deployment.client("s3")
    for key, body in deployment.landed().items():
        named = {"Bucket": deployment.landing_bucket, "Key": key}
        tags = {each["Key"]: each["Value"] for each in s3.get_object_tagging(**named)["TagSet"]}
        sha256 = hashlib.sha256(body).hexdigest()
        if key == "stated":
            assert (tags, s3.head_object(**named)["Metadata"]["sha256"]) == ({"team": "x"}, sha256)
        else:
            assert tags == {"team": "x", "sha256": sha256}


def test_one_bad_file_and_no_object_appears(deployment: Deployment, files: SourceServer) -> None:
    owner = deployment.transfer(document(files, files.url("/a"), files.url("/absent"), files.url("/empty")))

    deployment.commit(owner)
    answer = deployment.invoke("complete_job", owner)

    assert answer["status"] == "FAILED"
    assert answer["files"]["failed"] == 1 and answer["files"]["stored"] == 0
    error = json.loads(deployment.read("jobs/together/summary.json"))["error"]
    assert error["type"] == "TooManyFilesFailedError"
    assert error["message"].startswith("1 of 3 files failed")
    assert deployment.landed() == {}
    assert deployment.unfinished_uploads() == []


def test_tolerated_failures_do_not_keep_the_others_back(deployment: Deployment, files: SourceServer) -> None:
    tolerant = document(files, files.url("/a"), files.url("/absent"), limits={"failed_files_percent": 50})
    owner = deployment.transfer(tolerant)

    deployment.commit(owner)

    assert deployment.invoke("complete_job", owner)["status"] == "COMPLETED_WITH_FAILURES"
    assert list(deployment.landed()) == ["a"]


def test_a_commit_that_died_half_way_is_gone_on_with(deployment: Deployment, files: SourceServer) -> None:
    owner = deployment.transfer(document(files, files.url("/a"), files.url("/empty")))
    # The first commit completed one file and died before it could write that down.
    row = next(row for row in deployment.rows() if row["sk"]["S"].startswith("FILE#") and row["key"]["S"] == "a")
    staged = row["result"]["M"]["staged"]["M"]
    parts = {"bucket": row["bucket"]["S"], "key": "a", "upload_id": staged["upload_id"]["S"]}
    deployment.complete_upload(**parts)

    deployment.commit(owner)

    assert deployment.invoke("complete_job", owner)["files"]["stored"] == 2
    assert sorted(deployment.landed()) == ["a", "empty"]


def test_a_file_that_asks_to_be_split_is_staged_with_the_others(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = Body(11 * 1024**2, seed=3).read()
    source.replies["/large"] = lambda request: ranged(body, request)
    monkeypatch.setenv("SLUICEWAY_SPLIT_BYTES", str(5 * 1024**2))
    forget_services()
    owner = deployment.transfer(document(source, source.url("/large"), split="crc"))
    assert (deployment.landed(), len(deployment.unfinished_uploads())) == ({}, 1)

    deployment.commit(owner)

    assert deployment.invoke("complete_job", owner)["status"] == "COMPLETED"
    (line,) = deployment.lines("together", "report.jsonl")
    assert line["reason"].startswith("not split: the job lands all of its files or none")
    assert deployment.landed() == {"large": body}


def test_a_commit_is_decided_once(deployment: Deployment, files: SourceServer) -> None:
    owner = deployment.transfer(document(files, files.url("/a")))
    deployment.commit(owner)
    deployment.jobs.request_cancel("together")
    assert deployment.commit(owner)["action"] == "DONE"
    assert deployment.jobs.get("together").decision == "commit"
    assert list(deployment.landed()) == ["a"]
