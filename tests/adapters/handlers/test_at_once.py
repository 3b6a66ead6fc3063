"""The same unit invoked twice at the same moment, as Lambda's at-least-once delivery may have it: one file, one end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from sluiceway.jobs.states import FILE_ENDS
from tests.adapters.handlers.twins import PATIENCE_SECONDS, Twins, twins_of
from tests.support.deployment import Deployment
from tests.support.source import Body, Reply, Request, SourceServer

JOB = "acme-1"
MIB = 1024**2


@pytest.fixture
def settings() -> dict[str, str]:
    return {"file_events": ",".join(sorted(FILE_ENDS)), "part_mib": "5"}


@pytest.fixture
def twins(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twins]:
    with twins_of(deployment, monkeypatch) as twins:
        yield twins


@pytest.mark.parametrize("size", [1000, 12 * MIB], ids=["at once", "in parts"])
def test_a_unit_invoked_twice_at_once_ends_its_file_once(
    deployment: Deployment, twins: Twins, source: SourceServer, size: int
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
    answers = twins.invoke("process_file", {**owner, "unit": unit})
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
