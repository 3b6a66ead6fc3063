"""Signed links of large files that are moved in segments: one that dies ends the split, not the file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from sluiceway.errors import SourceStatusError
from tests.support.deployment import Deployment, caught
from tests.support.source import Body, Reply, Request, SourceServer, ranged

MIB = 1024**2
BODY = Body(13 * MIB + 7).read()


@dataclass
class Signed:
    """A file whose newest link alone is good, until it is `dead`; every list brings a new one."""

    source: SourceServer
    dead: bool = False
    lists: int = 0

    def list_files(self, _: Request) -> Reply:
        self.lists, self.dead = self.lists + 1, False
        files = [{"href": self.source.url(f"/large?sig={self.lists}"), "name": "large"}]
        return Reply(json.dumps({"state": "DONE", "files": files}).encode())

    def send(self, request: Request) -> Reply:
        if self.dead or not request.path.endswith(f"={self.lists}"):
            return Reply(b"expired", 403)
        return ranged(BODY, request)


@pytest.fixture
def settings() -> dict[str, str]:
    return {"split_bytes": str(5 * MIB), "part_mib": "5"}


@pytest.fixture
def signed(source: SourceServer) -> Signed:
    signed = Signed(source)
    source.replies |= {"/exports": Reply(b"{}"), "/exports/1": signed.list_files, "/large": signed.send}
    return signed


def dispatched(deployment: Deployment, source: SourceServer) -> tuple[dict[str, str], dict[str, Any]]:
    """A job up to its TransferFiles: who owns it, and its one unit."""
    described = {
        "type": "http",
        "start": {"url": source.url("/exports")},
        "poll": {"url": source.url("/exports/1"), "status": "state", "status_mapping": {"completed": ["DONE"]}},
        "files": {"list": "files", "url": "href", "key": "name"},
    }
    execution = deployment.new_execution()
    deployment.start({"job_id": "split", "source": described, "split": "crc"}, execution)
    owner = {"job_id": "split", "execution": execution}
    deployment.invoke("poll_export", owner)
    return owner, unit_of(deployment, owner)


def unit_of(deployment: Deployment, owner: dict[str, str]) -> dict[str, Any]:
    answer = deployment.invoke("dispatch_files", owner)
    (unit,) = json.loads(deployment.read(answer["units_key"]))
    return {**owner, "unit": unit}


def test_a_link_that_dies_under_a_segment_is_asked_for_again(
    deployment: Deployment, source: SourceServer, signed: Signed
) -> None:
    owner, event = dispatched(deployment, source)
    begun = deployment.invoke("process_file", event)
    assert begun["action"] == "SPLIT"
    deployment.invoke("move_segment", {**begun, "n": 0})
    signed.dead = True
    for n in begun["segments"][1:]:
        with pytest.raises(SourceStatusError) as error:
            deployment.invoke("move_segment", {**begun, "n": n})
    deployment.invoke("record_failure", {**begun, "error": caught(error.value)})
    assert deployment.unfinished_uploads() == []
    assert deployment.files.counts("split", 1).retry_link == 1
    (waiting,) = deployment.files.retrying("split", 1, deployment.tasks("split")).values()
    assert waiting.seconds > waiting.hash_seconds > 0

    assert deployment.invoke("complete_job", owner)["status"] == "EXPORTING"
    deployment.invoke("poll_export", owner)
    begun = deployment.invoke("process_file", unit_of(deployment, owner))
    for n in begun["segments"]:
        deployment.invoke("move_segment", {**begun, "n": n})
    deployment.invoke("finish_file", begun)

    answer = deployment.invoke("complete_job", owner)
    assert (answer["status"], answer["files"]["stored"]) == ("COMPLETED", 1)
    assert deployment.landed() == {"large": BODY}
    assert deployment.unfinished_uploads() == []
    # What the upload took that was given up stands in the report as well.
    rows = deployment.services.segments.rows("split", 1, *deployment.tasks("split"))
    assert len({row.attempt for row in rows}) == 2
    (line,) = deployment.lines("split", "report.jsonl")
    assert line["hash_seconds"] == pytest.approx(sum(row.measured["seconds"].get("hash", 0) for row in rows), abs=0.01)
    assert line["hash_seconds"] > waiting.hash_seconds


def test_a_link_that_is_dead_before_the_split_is_asked_for_again(
    deployment: Deployment, source: SourceServer, signed: Signed
) -> None:
    owner, event = dispatched(deployment, source)
    signed.dead = True
    assert deployment.invoke("process_file", event) == {"action": "DONE"}

    assert deployment.invoke("complete_job", owner)["status"] == "EXPORTING"
    deployment.invoke("poll_export", owner)

    assert deployment.invoke("process_file", unit_of(deployment, owner))["action"] == "SPLIT"


def test_a_segment_that_fails_for_another_reason_fails_the_file(
    deployment: Deployment, source: SourceServer, signed: Signed
) -> None:
    owner, event = dispatched(deployment, source)
    begun = deployment.invoke("process_file", event)
    source.replies["/large"] = Reply(b"", 404)
    with pytest.raises(SourceStatusError) as error:
        deployment.invoke("move_segment", {**begun, "n": 1})
    deployment.invoke("record_failure", {**begun, "error": caught(error.value)})

    answer = deployment.invoke("complete_job", owner)
    assert (answer["status"], answer["files"]["failed"]) == ("FAILED", 1)
    assert deployment.unfinished_uploads() == []


def split_again(deployment: Deployment, owner: dict[str, str], signed: Signed) -> dict[str, Any]:
    """The file, split with a fresh link after its first was found dead."""
    signed.dead = True
    deployment.invoke("process_file", unit_of(deployment, owner))
    assert deployment.invoke("complete_job", owner)["status"] == "EXPORTING"
    deployment.invoke("poll_export", owner)
    return deployment.invoke("process_file", unit_of(deployment, owner))


def test_a_fresh_link_that_dies_under_a_segment_is_asked_for_again_as_well(
    deployment: Deployment, source: SourceServer, signed: Signed
) -> None:
    owner, _ = dispatched(deployment, source)
    begun = split_again(deployment, owner, signed)
    signed.dead = True
    with pytest.raises(SourceStatusError) as error:
        deployment.invoke("move_segment", {**begun, "n": 0})
    deployment.invoke("record_failure", {**begun, "error": caught(error.value)})

    assert deployment.files.counts("split", 1).retry_link == 2
    assert deployment.invoke("complete_job", owner)["status"] == "EXPORTING"


def test_a_file_that_had_waited_for_a_link_fails_for_what_befell_its_segment_since(
    deployment: Deployment, source: SourceServer, signed: Signed
) -> None:
    owner, _ = dispatched(deployment, source)
    begun = split_again(deployment, owner, signed)
    source.replies["/large"] = Reply(b"", 404)
    with pytest.raises(SourceStatusError) as error:
        deployment.invoke("move_segment", {**begun, "n": 0})
    deployment.invoke("record_failure", {**begun, "error": caught(error.value)})

    assert deployment.invoke("complete_job", owner)["status"] == "FAILED"
    (line,) = deployment.lines("split", "report.jsonl")
    assert (line["status"], "404" in line["error"]["message"]) == ("FAILED", True)
