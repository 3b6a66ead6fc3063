"""Files whose parts the function's memory cannot hold are handed to the one with more."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from sluiceway.jobs.units import Unit
from sluiceway.landing.relaying import TimeLeft
from sluiceway.source import stall
from sluiceway.steps.processing import next_step, process_unit
from sluiceway.transfer import plan
from sluiceway.transfer.checkpoint import Checkpoint
from sluiceway.wiring import services
from tests.support.deployment import Deployment, forget_services
from tests.support.ranges import File, range_source
from tests.support.source import Body, Reply, SourceServer

MIB = 1024**2
TIB = 1024**4


@pytest.fixture
def settings() -> dict[str, str]:
    return {"max_file_bytes": str(9 * TIB)}


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the MB of the function that is invoked next, in an S3 that takes four parts of an object."""

    def of(mb: int) -> None:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", str(mb))
        monkeypatch.setenv("SLUICEWAY_MAX_FILE_BYTES", str(100 * MIB))
        forget_services()

    limits = plan.Limits(max_parts=4)
    monkeypatch.setattr(plan, "Limits", lambda: limits)
    return of


def unit_of(deployment: Deployment, url: str, **more: object) -> dict[str, Any]:
    execution = deployment.new_execution()
    owner = {"execution": execution, "job_id": "huge"}
    files = [{"url": url, "key": "huge", **more}]
    deployment.start({"job_id": "huge", "source": {"type": "urls", "files": files}}, execution)
    state = deployment.invoke("dispatch_files", owner)
    (unit,) = json.loads(deployment.read(state["units_key"]))
    return {**owner, "unit": unit}


def test_process_file_hands_over_what_needs_larger_parts(deployment: Deployment, source: SourceServer) -> None:
    # The server announces 1 TiB: 10,000 parts of 110 MB, three of which 512 MB cannot hold.
    source.replies |= {"/huge": Reply(Body(1000), length=TIB)}
    event = unit_of(deployment, source.url("/huge"))

    answer = deployment.invoke("process_file", event)

    assert answer == {**event, "action": "LARGE"}
    assert deployment.unfinished_uploads() == []


@pytest.mark.parametrize(
    ("announced", "stated", "error"),
    # Each would need parts that 512 MB cannot hold, or that no S3 takes.
    [
        (10 * TIB, {}, "TooLargeError"),
        (49 * TIB, {}, "TooLargeError"),
        (TIB, {"size": 1000}, "LengthMismatchError"),
    ],
)
def test_a_file_that_is_refused_anyway_is_refused_before_its_parts_are_planned(
    deployment: Deployment, source: SourceServer, announced: int, stated: dict[str, int], error: str
) -> None:
    source.replies |= {"/huge": Reply(Body(1000), length=announced)}
    event = unit_of(deployment, source.url("/huge"), **stated)

    assert deployment.invoke("process_file", event)["action"] == "DONE"
    answer = deployment.invoke("complete_job", {name: event[name] for name in ("execution", "job_id")})

    assert answer["files"]["rejected"] == 1
    (line,) = deployment.lines("huge", "report.jsonl")
    assert line["error"]["type"] == error


def test_the_larger_function_says_so_where_even_it_is_too_small(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.replies |= {"/huge": Reply(Body(1000), length=8 * TIB)}
    event = unit_of(deployment, source.url("/huge"))
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "5120")
    forget_services()

    assert deployment.invoke("process_file_large", event)["action"] == "DONE"
    answer = deployment.invoke("complete_job", {name: event[name] for name in ("execution", "job_id")})

    assert answer["files"]["failed"] == 1
    (line,) = deployment.lines("huge", "report.jsonl")
    assert line["error"]["type"] == "PlanError"


def test_a_file_whose_stated_size_is_too_large_is_routed_when_it_is_listed(
    deployment: Deployment, source: SourceServer
) -> None:
    event = unit_of(deployment, source.url("/huge"), size=TIB)

    assert event["unit"]["large"] is True
    assert deployment.invoke("process_file", event) == {**event, "action": "LARGE"}
    assert source.requests == []


def test_a_file_of_unknown_length_is_handed_over_when_its_parts_run_out(
    deployment: Deployment, source: SourceServer, memory: Callable[[int], None]
) -> None:
    body = Body(21 * MIB)
    source.replies |= {"/huge": Reply(body, chunked=True)}
    memory(50)  # three parts of 5 MiB in 30 % of it: the fifth part is one too many
    event = unit_of(deployment, source.url("/huge"))

    answer = deployment.invoke("process_file", event)
    assert answer == {**event, "action": "LARGE"}
    assert deployment.unfinished_uploads() == []

    memory(5120)
    assert deployment.invoke("process_file_large", answer)["action"] == "DONE"
    assert deployment.landed() == {"huge": body.read()}


def test_what_a_stopped_invocation_has_sent_goes_over_with_the_file(
    deployment: Deployment, memory: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = File(40 * MIB)
    with range_source({"/huge": file}) as ranges:
        monkeypatch.setenv("SLUICEWAY_ALLOWED_SOURCES", ranges.host)
        memory(130)  # parts of up to 13 MiB: one of four may be cut short
        event = unit_of(deployment, ranges.url("/huge"))
        unit = Unit(**event["unit"])
        # The clock is looked at before each read, and the reads grow: the first part ends with 8 of its 10 MiB.
        monkeypatch.setattr(stall, "QUICK_SECONDS", math.inf)
        short = TimeLeft(11, itertools.count().__next__)
        relayed = next_step(event, process_unit(services(), event["job_id"], event["execution"], unit, short))
        (carried,) = relayed["carry"]["files"].values()
        sent = Checkpoint.from_dict(carried).position.offset
        assert 5 * MIB <= sent < 10 * MIB

        memory(100)  # less, as after a deployment: three parts of 10 MiB do not hold the rest
        answer = deployment.invoke("process_file", relayed)
        assert answer == {**relayed, "action": "LARGE"}

        memory(5120)
        assert deployment.invoke("process_file_large", answer)["action"] == "DONE"
        assert ranges.requests[-1] == ("/huge", f"bytes={sent}-")
    landed = deployment.landed()["huge"]
    assert hashlib.sha256(landed).hexdigest() == file.sha256()
    assert deployment.unfinished_uploads() == []
