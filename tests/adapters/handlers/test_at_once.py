"""The same unit invoked twice at the same moment, as Lambda's at-least-once delivery may have it: one file, one end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from moto.dynamodb.models import DynamoDBBackend

from sluiceway.jobs.states import FILE_ENDS
from tests.conftest import AwsServer
from tests.support.deployment import Deployment, deploy
from tests.support.source import Body, Reply, Request, SourceServer

JOB = "acme-1"
MIB = 1024**2
PATIENCE_SECONDS = 60.0


@pytest.fixture
def deployment(moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, source: SourceServer) -> Iterator[Deployment]:
    told = {"file_events": ",".join(sorted(FILE_ENDS)), "part_mib": "5"}
    with deploy(moto_server, monkeypatch, allowed_sources=source.host, **told) as deployment:
        # A transaction of DynamoDB is isolated from others; moto's is not, unless its front lets in one at a time.
        lock, transact = threading.Lock(), DynamoDBBackend.transact_write_items

        def isolated(self: Any, items: list[dict[str, Any]]) -> None:
            with lock:
                transact(self, items)

        with monkeypatch.context() as patched:
            patched.setattr(DynamoDBBackend, "transact_write_items", isolated)
            yield deployment


@pytest.mark.parametrize("size", [1000, 12 * MIB], ids=["at once", "in parts"])
def test_a_unit_invoked_twice_at_once_ends_its_file_once(
    deployment: Deployment, source: SourceServer, size: int
) -> None:
    body = Body(size)
    gate = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def together(_: Request) -> Reply:
        gate.wait()
        return Reply(body)

    source.replies["/a.bin"] = together
    execution = deployment.new_execution()
    owner = {"job_id": JOB, "execution": execution}
    deployment.start({"job_id": JOB, "source": {"type": "urls", "files": [source.url("/a.bin")]}}, execution)
    (unit,) = json.loads(deployment.read(deployment.invoke("dispatch_files", owner)["units_key"]))
    answers: list[dict[str, object]] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(deployment.invoke("process_file", {**owner, "unit": unit})), daemon=True
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    ended = deployment.invoke("complete_job", owner)

    assert answers == [{"action": "DONE"}] * 2
    assert source.paths() == ["/a.bin"] * 2
    assert (ended["status"], ended["files"]["stored"], sum(ended["files"].values())) == ("COMPLETED", 1, 1)
    assert deployment.files.counts(JOB, 1).stored == 1
    told = [event["detail"]["state"] for event in deployment.events() if "key" in event["detail"]]
    assert told == ["STORED"]
    (line,) = deployment.lines(JOB, "report.jsonl")
    assert (line["status"], line["bytes"], line["sha256"]) == ("STORED", size, body.digest())
    assert deployment.landed() == {"a.bin": body.read()}
    assert deployment.unfinished_uploads() == []
