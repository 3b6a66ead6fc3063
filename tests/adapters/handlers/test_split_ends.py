"""What is promised of any file holds of one that is moved in segments: `if_exists`, and what its source states."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from awscrt import checksums

from sluiceway.errors import SplitOverError
from tests.adapters.handlers.conflicts import refuse_completions
from tests.conftest import AwsServer
from tests.support.deployment import Deployment, deploy
from tests.support.source import Body, Reply, Request, SourceServer, ranged

MIB = 1024**2
BODY = Body(13 * MIB + 7).read()
OTHER = b"of somebody else"


@pytest.fixture
def deployment(moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, source: SourceServer) -> Iterator[Deployment]:
    settings = {"allowed_sources": source.host, "split_bytes": str(5 * MIB), "part_mib": "5"}
    with deploy(moto_server, monkeypatch, **settings) as deployment:
        source.replies["/large"] = unless_known
        yield deployment


def unless_known(request: Request) -> Reply:
    """By a server that knows conditional requests."""
    return Reply(status=304) if request.headers.get("If-None-Match") == '"v1"' else ranged(BODY, request)


def processed(
    deployment: Deployment, source: SourceServer, if_exists: str, job_id: str = "split"
) -> tuple[dict[str, str], dict[str, Any]]:
    """A job up to its ProcessFile: who owns it, and what that answered."""
    execution = deployment.new_execution()
    listed = {"type": "urls", "files": [source.url("/large")]}
    document = {"job_id": job_id, "source": listed, "destination": {"if_exists": if_exists}, "split": "crc"}
    deployment.start(document, execution)
    owner = {"job_id": job_id, "execution": execution}
    (unit,) = json.loads(deployment.read(deployment.invoke("dispatch_files", owner)["units_key"]))
    return owner, deployment.invoke("process_file", {**owner, "unit": unit})


def finish(deployment: Deployment, begun: dict[str, Any]) -> None:
    for n in begun["segments"]:
        deployment.invoke("move_segment", {**begun, "n": n})
    deployment.invoke("finish_file", begun)


def put(deployment: Deployment, body: bytes) -> None:
    deployment.client("s3").put_object(Bucket=deployment.landing_bucket, Key="large", Body=body)


def reported(deployment: Deployment, owner: dict[str, str]) -> dict[str, Any]:
    deployment.invoke("complete_job", owner)
    assert deployment.unfinished_uploads() == []
    (line,) = deployment.lines(owner["job_id"], "report.jsonl")
    return line


def test_a_key_that_is_taken_is_skipped_before_a_byte_is_asked_for(
    deployment: Deployment, source: SourceServer
) -> None:
    put(deployment, OTHER)
    owner, answer = processed(deployment, source, "never")

    assert (answer, source.requests) == ({"action": "DONE"}, [])
    line = reported(deployment, owner)
    assert (line["status"], line["reason"].endswith("exists and if_exists is never")) == ("SKIPPED", True)
    assert deployment.landed() == {"large": OTHER}


def test_a_key_that_is_taken_while_the_segments_move_is_skipped(deployment: Deployment, source: SourceServer) -> None:
    owner, begun = processed(deployment, source, "never")
    put(deployment, OTHER)
    finish(deployment, begun)

    assert deployment.unfinished_uploads() == []
    line = reported(deployment, owner)
    assert (line["status"], line["segments"], line["error"]) == ("SKIPPED", 3, None)
    assert line["hash_seconds"] > 0
    assert deployment.landed() == {"large": OTHER}


def test_a_key_that_is_free_is_landed_with_its_segments(deployment: Deployment, source: SourceServer) -> None:
    owner, begun = processed(deployment, source, "never")
    finish(deployment, begun)

    assert reported(deployment, owner)["status"] == "STORED"
    assert deployment.landed() == {"large": BODY}


def test_a_file_that_has_not_changed_since_it_landed_is_not_split_again(
    deployment: Deployment, source: SourceServer
) -> None:
    owner, begun = processed(deployment, source, "skip-unchanged", "first")
    finish(deployment, begun)
    assert reported(deployment, owner)["status"] == "STORED"
    source.requests.clear()

    owner, answer = processed(deployment, source, "skip-unchanged", "second")

    assert (answer, len(source.requests)) == ({"action": "DONE"}, 1)
    line = reported(deployment, owner)
    assert (line["status"], "unchanged" in line["reason"]) == ("SKIPPED", True)


def test_a_file_that_has_changed_since_it_landed_is_split_again(deployment: Deployment, source: SourceServer) -> None:
    put(deployment, OTHER)
    owner, begun = processed(deployment, source, "skip-unchanged")
    finish(deployment, begun)

    assert reported(deployment, owner)["status"] == "STORED"
    assert deployment.landed() == {"large": BODY}


def stating(**headers: str) -> Callable[[Request], Reply]:
    def reply(request: Request) -> Reply:
        plain = ranged(BODY, request)
        return replace(plain, headers={**plain.headers, **{name.replace("_", "-"): headers[name] for name in headers}})

    return reply


def test_a_file_whose_source_states_an_md5_goes_in_order(deployment: Deployment, source: SourceServer) -> None:
    source.replies["/large"] = stating(Content_MD5=base64.b64encode(hashlib.md5(OTHER).digest()).decode())
    owner, answer = processed(deployment, source, "overwrite")

    assert answer == {"action": "DONE"}
    line = reported(deployment, owner)
    assert (line["status"], line["error"]["type"]) == ("REJECTED", "DigestMismatchError")
    assert deployment.landed() == {}


def test_a_source_is_asked_for_a_digest_that_can_be_put_together(deployment: Deployment, source: SourceServer) -> None:
    crc32c = base64.b64encode(checksums.crc32c(BODY).to_bytes(4, "big")).decode()
    source.replies["/large"] = stating(Repr_Digest=f"crc32c=:{crc32c}:")
    owner, begun = processed(deployment, source, "overwrite")
    finish(deployment, begun)

    assert {request.headers["Want-Repr-Digest"] for request in source.requests[:2]} == {"crc32c=10"}
    assert reported(deployment, owner)["verified_by"] == ["source:crc32c", "s3:crc64nvme"]


def test_headers_that_contradict_each_other_leave_no_upload(deployment: Deployment, source: SourceServer) -> None:
    source.replies["/large"] = stating(Repr_Digest="crc32c=:AAAAAA==:", x_goog_hash="crc32c=AAAAAQ==")
    owner, answer = processed(deployment, source, "overwrite")

    assert (answer, deployment.unfinished_uploads()) == ({"action": "DONE"}, [])
    assert reported(deployment, owner)["error"]["type"] == "DigestMismatchError"


def test_what_all_segments_have_moved_is_shown_as_one_file_in_flight(
    deployment: Deployment, source: SourceServer
) -> None:
    owner, begun = processed(deployment, source, "overwrite")
    shown: list[tuple[int, int]] = []
    for n in begun["segments"]:
        deployment.invoke("move_segment", {**begun, "n": n})
        (row,) = deployment.files.progress("split")
        shown.append((row["bytes"], row["size"]))

    deployment.invoke("finish_file", begun)

    assert shown == [(5 * MIB, len(BODY)), (10 * MIB, len(BODY)), (len(BODY), len(BODY))]
    assert deployment.files.progress("split") == []
    assert reported(deployment, owner)["status"] == "STORED"


@pytest.mark.parametrize("times, end", [(1, "STORED"), (2, "FAILED")])
def test_a_conflict_at_the_end_splits_the_file_anew_once(
    deployment: Deployment, source: SourceServer, times: int, end: str
) -> None:
    owner, begun = processed(deployment, source, "never")
    refuse_completions(deployment, times)
    for n in begun["segments"]:
        deployment.invoke("move_segment", {**begun, "n": n})
    with pytest.raises(SplitOverError):
        deployment.invoke("finish_file", begun)
    assert deployment.unfinished_uploads() == []

    # The state machine's Catch leads back with what FinishFile was given.
    begun = deployment.invoke("process_file", begun)
    assert deployment.files.progress("split") == []
    finish(deployment, begun)

    line = reported(deployment, owner)
    assert (line["status"], line["segments"]) == (end, 3)
    assert deployment.landed() == ({"large": BODY} if end == "STORED" else {})
