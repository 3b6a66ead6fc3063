"""Jobs whose files become visible together or not at all."""

from __future__ import annotations

import hashlib
import json

import pytest

from sluiceway.errors import SinkError
from sluiceway.steps import committing
from tests.adapters.handlers.long_lists import looks
from tests.support.deployment import Deployment, forget_services
from tests.support.source import Body, Reply, SourceServer, ranged


def document(source: SourceServer, *files: object, **more: object) -> dict[str, object]:
    listed = {"type": "urls", "files": list(files)}
    return {"job_id": "together", "source": listed, "commit": "all-or-nothing", **more}


def complete(deployment: Deployment, key: str) -> None:
    """Makes a staged file visible, and tells nobody."""
    row = next(row for row in deployment.rows() if row["sk"]["S"].startswith("FILE#") and row["key"]["S"] == key)
    staged = row["result"]["M"]["staged"]["M"]
    deployment.complete_upload(bucket=row["bucket"]["S"], key=key, upload_id=staged["upload_id"]["S"])


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


@pytest.mark.parametrize("limits", [{"failed_files_percent": 50}, {"failed_files": 1}])
def test_tolerated_failures_do_not_keep_the_others_back(
    deployment: Deployment, files: SourceServer, limits: dict[str, int]
) -> None:
    tolerant = document(files, files.url("/a"), files.url("/absent"), limits=limits)
    owner = deployment.transfer(tolerant)

    deployment.commit(owner)

    assert deployment.invoke("complete_job", owner)["status"] == "COMPLETED_WITH_FAILURES"
    assert list(deployment.landed()) == ["a"]


def test_a_commit_that_died_half_way_is_gone_on_with(deployment: Deployment, files: SourceServer) -> None:
    owner = deployment.transfer(document(files, files.url("/a"), files.url("/empty")))
    # The first commit completed one file and died before it could write that down.
    complete(deployment, "a")

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


BROKEN = {"error": {"Error": "Runtime.ExitError", "Cause": "killed"}}


def test_what_a_commit_that_broke_for_good_had_made_visible_is_stored(
    deployment: Deployment, files: SourceServer
) -> None:
    owner = deployment.transfer(document(files, *map(files.url, ("/a", "/empty", "/large"))))
    deployment.jobs.decide(deployment.jobs.get("together"), "commit")
    complete(deployment, "large")

    answer = deployment.invoke("complete_job", {**owner, **BROKEN})

    assert (answer["status"], answer["files"]["stored"], answer["files"]["failed"]) == ("FAILED", 1, 2)
    assert list(deployment.landed()) == ["large"]
    assert deployment.unfinished_uploads() == []
    lines = {line["key"]: line for line in deployment.lines("together", "report.jsonl")}
    assert lines["large"]["reason"] == "became visible before the commit broke"
    assert lines["large"]["etag"] is not None
    assert lines["large"]["sha256"] == Body(11 * 1024**2, seed=3).digest()
    assert (lines["a"]["status"], lines["a"]["error"]["type"]) == ("FAILED", "Runtime.ExitError")


def test_an_object_of_somebody_else_is_not_taken_for_a_staged_one(deployment: Deployment, files: SourceServer) -> None:
    owner = deployment.transfer(document(files, files.url("/a")))
    deployment.jobs.decide(deployment.jobs.get("together"), "commit")
    deployment.client("s3").put_object(Bucket=deployment.landing_bucket, Key="a", Body=Body(1000, seed=1).read())

    assert deployment.invoke("complete_job", {**owner, **BROKEN})["files"]["failed"] == 1


def test_where_s3_does_not_tell_the_report_says_that_it_was_asked(
    deployment: Deployment, files: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise SinkError("S3 answers 503")

    owner = deployment.transfer(document(files, files.url("/a")))
    deployment.jobs.decide(deployment.jobs.get("together"), "commit")
    monkeypatch.setattr(committing, "find_completed", refuse)

    assert deployment.invoke("complete_job", {**owner, **BROKEN})["status"] == "FAILED"

    (line,) = deployment.lines("together", "report.jsonl")
    assert line["error"] == {
        "type": "SinkError",
        "message": "S3 answers 503; asked whether the file had been completed before the commit broke",
    }


def test_time_is_looked_at_before_each_file(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"/{n}" for n in range(5)]
    source.replies |= {name: Reply(Body(100)) for name in names}
    event: dict[str, object] = dict(deployment.transfer(document(source, *map(source.url, names))))
    # One look before the block and one before each file: two files an invocation.
    monkeypatch.setattr("commit_files.handler.TimeLeft.of", lambda _: looks(3))

    for landed in (2, 4, 5):
        event = deployment.invoke("commit_files", event)
        assert len(deployment.landed()) == landed
        assert len(deployment.unfinished_uploads()) == 5 - landed
        assert deployment.files.counts("together", 1).stored == landed
    assert event["action"] == "DONE"
