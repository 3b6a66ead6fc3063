"""Signed links that say themselves when they expire, and servers that refuse expired ones with 400."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluiceway.jobs.states import FileState
from sluiceway.transfer.checkpoint import Checkpoint, Position
from tests.support.deployment import Deployment
from tests.support.source import Body, Reply, Request, SourceServer

JOB = "signed"
BODY = Body(1000, seed=1)
HOUR = timedelta(hours=1)


def signed(source: SourceServer, version: int, good_for: timedelta, *, more: str = "") -> str:
    begun = datetime.now(UTC) - 2 * HOUR
    seconds = int((2 * HOUR + good_for).total_seconds())
    stamp = f"X-Amz-Date={begun:%Y%m%dT%H%M%SZ}&X-Amz-Expires={seconds}&X-Amz-Signature=ab"
    return source.url(f"/a?version={version}&{stamp}{more}")


def document(source: SourceServer, links: Callable[[int], str], **more: Any) -> dict[str, Any]:
    """A job of one file, for which `links` makes a link by the number of the list."""
    lists = 0

    def listing(_: Request) -> Reply:
        nonlocal lists
        lists += 1
        return Reply(json.dumps({"state": "DONE", "files": [{"href": links(lists), "name": "a"}]}).encode())

    source.replies |= {"/exports": Reply(b"{}"), "/exports/1": listing}
    described = {
        "type": "http",
        "start": {"url": source.url("/exports")},
        "poll": {"url": source.url("/exports/1"), "status": "state", "status_mapping": {"completed": ["DONE"]}},
        "files": {"list": "files", "url": "href", "key": "name"},
    }
    return {"job_id": JOB, "source": described, **more}


def versions(source: SourceServer) -> list[str]:
    return [request.path.partition("&")[0][-1] for request in source.requests if request.path.startswith("/a?")]


def test_a_link_that_has_expired_by_its_own_word_is_not_asked_where_a_fresh_one_may_come(
    deployment: Deployment, source: SourceServer
) -> None:
    source.replies["/a"] = Reply(BODY)
    job = document(source, lambda n: signed(source, n, -HOUR if n == 1 else HOUR))

    assert deployment.run(job)["status"] == "COMPLETED"

    assert versions(source) == ["2"]
    assert deployment.landed() == {"a": BODY.read()}


def test_in_the_last_round_the_server_decides(deployment: Deployment, source: SourceServer) -> None:
    source.replies["/a"] = Reply(BODY)
    job = document(source, lambda n: signed(source, n, -HOUR))

    assert deployment.run(job)["status"] == "COMPLETED"
    assert versions(source) == ["4"]


def test_where_no_fresh_link_can_come_the_server_decides(deployment: Deployment, source: SourceServer) -> None:
    source.replies["/a"] = Reply(BODY)
    files = [{"url": signed(source, 1, -HOUR), "key": "a"}]

    assert deployment.run({"job_id": JOB, "source": {"type": "urls", "files": files}})["status"] == "COMPLETED"
    assert versions(source) == ["1"]


def test_a_file_that_needs_no_source_needs_no_link(deployment: Deployment, source: SourceServer) -> None:
    deployment.client("s3").put_object(Bucket=deployment.landing_bucket, Key="a", Body=b"here")
    job = document(source, lambda n: signed(source, n, -HOUR), destination={"if_exists": "never"})

    assert deployment.run(job)["files"]["skipped"] == 1
    assert source.paths().count("/exports/1") == 1


@pytest.mark.parametrize(
    ("good_for", "more", "is_renewed"),
    [
        (timedelta(seconds=30), "", True),  # just over, by the server's clock
        (HOUR, "&X-Amz-Security-Token=t", True),  # the signer's session is over
        (HOUR, "", False),
    ],
)
def test_a_400_is_of_a_link_that_may_have_expired_or_of_a_wrong_request(
    deployment: Deployment, source: SourceServer, good_for: timedelta, more: str, is_renewed: bool
) -> None:
    source.replies["/a"] = lambda request: Reply(BODY) if "version=2" in request.path else Reply(b"ExpiredToken", 400)
    job = document(source, lambda n: signed(source, n, good_for, more=more))

    answer = deployment.run(job)

    assert answer["files"]["stored" if is_renewed else "failed"] == 1
    assert versions(source) == (["1", "2"] if is_renewed else ["1"])


def test_a_file_under_way_whose_link_has_expired_meanwhile_waits_with_what_has_moved(
    deployment: Deployment, source: SourceServer
) -> None:
    source.replies["/a"] = Reply(BODY)
    owner = {"job_id": JOB, "execution": deployment.new_execution()}
    deployment.start(document(source, lambda n: signed(source, n, -HOUR)), owner["execution"])
    deployment.invoke("poll_export", owner)
    (unit,) = json.loads(deployment.read(deployment.invoke("dispatch_files", owner)["units_key"]))
    (task,) = deployment.tasks(JOB)
    s3 = deployment.client("s3")
    upload = s3.create_multipart_upload(Bucket=deployment.landing_bucket, Key="a")["UploadId"]
    body = Body(5 * 1024**2).read()
    s3.upload_part(Bucket=deployment.landing_bucket, Key="a", UploadId=upload, PartNumber=1, Body=body)
    moved = Checkpoint(Position(2, len(body)), upload, "attempt", '"v1"', 2 * len(body), relays=1).to_dict()
    carry = {"idle": 0, "files": {task.file_id: moved}, "whole": None}

    assert deployment.invoke("process_file", {**owner, "unit": unit, "carry": carry}) == {"action": "DONE"}

    (waiting,) = deployment.files.retrying(JOB, 1, [task]).values()
    assert (waiting.state, waiting.error_type) == (FileState.RETRY_LINK, "LinkExpiredError")
    assert waiting.checkpoint is not None and waiting.checkpoint["upload_id"] == upload
    assert deployment.unfinished_uploads() == ["a"]
    assert versions(source) == []
