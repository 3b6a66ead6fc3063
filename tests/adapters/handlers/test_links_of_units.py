"""Links that expire in a unit of several files: one that was found dead waits, whatever becomes of the unit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluiceway.jobs.files import FileResult
from sluiceway.jobs.units import Unit
from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.processing import process_unit
from tests.adapters.handlers.test_links import MIB, dying, ranges, signature
from tests.support.deployment import Deployment, caught, forget_services
from tests.support.source import Body, Reply, Request, SourceServer

JOB = "signed"
LARGE = Body(17 * MIB + 3).read()
SMALL = Body(1000, seed=1)
DIED_AT = 7 * MIB


@pytest.fixture
def clock(source: SourceServer) -> list[float]:
    """The time of an invocation, which is over at 1: that is when the second link of the large file is refused."""
    now, lists = [0.0], 0

    def listing(_: Request) -> Reply:
        nonlocal lists
        lists += 1
        sizes = {"large": len(LARGE), "small": SMALL.size}
        files = [{"href": source.url(f"/{name}?sig={lists}"), "name": name, "bytes": sizes[name]} for name in sizes]
        return Reply(json.dumps({"state": "DONE", "files": files}).encode())

    answer = dying(LARGE, after=DIED_AT, good=lambda path: signature(path) > 1)

    def large(request: Request) -> Reply:
        reply = answer(request)
        if reply.status == 403:
            now[0] = 1.0
        return reply

    source.replies |= {"/exports": Reply(b"{}"), "/exports/1": listing, "/small": Reply(SMALL), "/large": large}
    return now


@pytest.fixture
def event(
    deployment: Deployment, source: SourceServer, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """A job with one unit of both files, which a function moves one after the other."""
    monkeypatch.setenv("SLUICEWAY_BATCH_THREADS", "1")
    forget_services()
    described = {
        "type": "http",
        "start": {"url": source.url("/exports")},
        "poll": {"url": source.url("/exports/1"), "status": "state", "status_mapping": {"completed": ["DONE"]}},
        "files": {"list": "files", "url": "href", "key": "name", "size": "bytes"},
    }
    owner = {"job_id": JOB, "execution": deployment.new_execution()}
    deployment.start({"job_id": JOB, "source": described}, owner["execution"])
    deployment.invoke("poll_export", owner)
    return unit_of(deployment, owner)


def unit_of(deployment: Deployment, owner: dict[str, Any]) -> dict[str, Any]:
    (unit,) = json.loads(deployment.read(deployment.invoke("dispatch_files", owner)["units_key"]))
    return {"job_id": owner["job_id"], "execution": owner["execution"], "unit": unit}


def first_invocation(deployment: Deployment, event: dict[str, Any], clock: list[float]) -> dict[str, Any]:
    """Finds the link of the large file dead, and has no time for the small one. What it hands on."""
    time_left = TimeLeft(1.0, lambda: clock[0])
    worked = process_unit(deployment.movers, JOB, event["execution"], Unit(**event["unit"]), time_left)
    assert worked.ended == [] and worked.carry is not None
    return {**event, "carry": worked.carry}


def waiting(deployment: Deployment) -> FileResult:
    (found,) = deployment.files.retrying(JOB, 1, deployment.tasks(JOB)).values()
    return found


def finish(deployment: Deployment, event: dict[str, Any]) -> dict[str, Any]:
    """From the end of TransferFiles by way of fresh links to the end of the job."""
    assert deployment.invoke("complete_job", event)["status"] == "EXPORTING"
    deployment.invoke("poll_export", event)
    deployment.process(event, unit_of(deployment, event)["unit"])
    return deployment.invoke("complete_job", event)


@pytest.mark.parametrize("killed", [False, True], ids=["relayed", "killed after it had noted the dead link"])
def test_a_dead_link_is_not_tried_again_before_there_is_another(
    deployment: Deployment, source: SourceServer, clock: list[float], event: dict[str, Any], killed: bool
) -> None:
    carried = first_invocation(deployment, event, clock)
    before = waiting(deployment)

    assert deployment.invoke("process_file", event if killed else carried) == {"action": "DONE"}

    assert waiting(deployment) == before
    assert deployment.files.counts(JOB, 1).retry_link == 1
    answer = finish(deployment, event)
    assert (answer["status"], answer["files"]["stored"]) == ("COMPLETED", 2)
    resumed = f"bytes={DIED_AT}-"
    assert ranges(source, "/large") == [(1, None), (1, resumed), (2, resumed)]
    assert deployment.landed() == {"large": LARGE, "small": SMALL.read()}
    assert deployment.unfinished_uploads() == []


def test_a_unit_that_breaks_takes_no_file_along_that_waits_for_a_link(
    deployment: Deployment, source: SourceServer, clock: list[float], event: dict[str, Any]
) -> None:
    carried = first_invocation(deployment, event, clock)
    before = waiting(deployment)
    # As if the file had been carried to the invocation that broke.
    carried["carry"]["files"] = {deployment.tasks(JOB)[0].file_id: before.checkpoint}

    deployment.invoke("record_failure", {**carried, "error": caught(RuntimeError("out of memory"))})

    assert waiting(deployment) == before
    assert deployment.files.counts(JOB, 1).failed == 1
    assert deployment.unfinished_uploads() == ["large"]
    answer = finish(deployment, event)
    assert (answer["files"]["stored"], answer["files"]["failed"]) == (1, 1)
    assert ranges(source, "/large")[-1] == (2, f"bytes={DIED_AT}-")
    assert deployment.unfinished_uploads() == []


def test_a_unit_that_breaks_with_fresh_links_fails_the_files_that_had_waited_for_them(
    deployment: Deployment, source: SourceServer, clock: list[float], event: dict[str, Any]
) -> None:
    deployment.invoke("process_file", first_invocation(deployment, event, clock))
    assert deployment.invoke("complete_job", event)["status"] == "EXPORTING"
    deployment.invoke("poll_export", event)
    event = unit_of(deployment, event)

    deployment.invoke("record_failure", {**event, "error": caught(RuntimeError("out of memory"))})

    answer = deployment.invoke("complete_job", event)
    assert (answer["status"], answer["files"]["failed"]) == ("COMPLETED_WITH_FAILURES", 1)
    (line,) = (line for line in deployment.lines(JOB, "report.jsonl") if line["key"] == "large")
    assert line["error"]["type"] == "RuntimeError"
    assert deployment.unfinished_uploads() == []
