"""How a large file is cut into parts and segments, by its length and the memory of those who move it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sluiceway.landing.relaying import TimeLeft
from sluiceway.transfer import plan
from tests.support.deployment import Deployment, forget_services
from tests.support.source import Body, Reply, Request, SourceServer, ranged

MIB, GIB = 1024**2, 1024**3
TB = 10**12


@pytest.fixture
def settings() -> dict[str, str]:
    return {"max_file_bytes": str(10 * TB)}


def processed(deployment: Deployment, source: SourceServer, length: int) -> dict[str, Any]:
    """What ProcessFile answers for a file of `length` bytes, of which the source sends none but the first."""

    def announce(request: Request) -> Reply:
        headers = {"ETag": '"v1"'}
        if "Range" in request.headers:
            return Reply(b"x", 206, headers | {"Content-Range": f"bytes 0-0/{length}"})
        return Reply(Body(1000), headers=headers, length=length)

    source.replies["/huge"] = announce
    _, event = dispatched(deployment, source)
    return deployment.invoke("process_file", event)


def dispatched(deployment: Deployment, source: SourceServer) -> tuple[dict[str, str], dict[str, Any]]:
    """Who owns the job, and its one unit."""
    execution = deployment.new_execution()
    document = {"job_id": "huge", "source": {"type": "urls", "files": [source.url("/huge")]}, "split": "crc"}
    deployment.start(document, execution)
    owner = {"job_id": "huge", "execution": execution}
    (unit,) = json.loads(deployment.read(deployment.invoke("dispatch_files", owner)["units_key"]))
    return owner, {**owner, "unit": unit}


@pytest.mark.parametrize(
    ("length", "part_mib", "segments"),
    [(5 * GIB, 16, 20), (160 * 10**9, 16, 398), (300 * GIB, 31, 397), (500 * 10**9, 48, 398)],
)
def test_parts_are_small_as_long_as_ten_thousand_of_them_hold_the_file(
    deployment: Deployment, source: SourceServer, length: int, part_mib: int, segments: int
) -> None:
    split = processed(deployment, source, length)["split"]
    assert (split["part_bytes"], split["segments"], split["large"]) == (part_mib * MIB, segments, False)


@pytest.mark.parametrize(("length", "part_mib"), [(600 * 10**9, 58), (TB, 96), (5 * TB, 477)])
def test_what_needs_larger_parts_is_split_among_functions_with_more_memory(
    deployment: Deployment, source: SourceServer, length: int, part_mib: int
) -> None:
    begun = processed(deployment, source, length)
    split = begun["split"]
    assert (split["part_bytes"], split["large"]) == (part_mib * MIB, True)
    assert split["segments"] <= 400
    assert deployment.invoke("move_segment", {**begun, "n": 0}) == {**begun, "n": 0, "action": "LARGE"}


def test_what_needs_larger_parts_than_any_function_holds_is_not_split(
    deployment: Deployment, source: SourceServer
) -> None:
    assert processed(deployment, source, 6 * TB)["action"] == "LARGE"


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the MB of the function that is invoked next, in an S3 that takes four parts of an object."""

    def of(mb: int) -> None:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", str(mb))
        forget_services()

    limits = plan.Limits(max_parts=4)
    monkeypatch.setattr(plan, "Limits", lambda: limits)
    for name, value in (("FILE_MEMORY_MB", 128), ("LARGE_MEMORY_MB", 512), ("SPLIT_BYTES", 5 * MIB)):
        monkeypatch.setenv(f"SLUICEWAY_{name}", str(value))
    return of


def test_a_segment_with_large_parts_stays_with_the_function_that_holds_them(
    deployment: Deployment, source: SourceServer, memory: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = Body(60 * MIB).read()
    source.replies["/huge"] = lambda request: ranged(body, request)
    memory(128)
    owner, event = dispatched(deployment, source)
    begun = deployment.invoke("process_file", event)
    assert (begun["split"]["part_bytes"], len(begun["segments"])) == (16 * MIB, 4)
    answers = [deployment.invoke("move_segment", {**begun, "n": n}) for n in begun["segments"]]
    assert {answer["action"] for answer in answers} == {"LARGE"}

    memory(512)
    with monkeypatch.context() as short:
        short.setattr(TimeLeft, "of", classmethod(lambda cls, ms: cls(0.0)))
        answers[0] = deployment.invoke("move_segment_large", answers[0])
    assert (answers[0]["action"], answers[0]["idle"]) == ("LARGE", 1)
    for answer in answers:
        assert deployment.invoke("move_segment_large", answer) == {"action": "DONE"}

    memory(128)
    deployment.invoke("finish_file", begun)
    assert deployment.invoke("complete_job", owner)["files"]["stored"] == 1
    assert deployment.landed() == {"huge": body}


@pytest.mark.parametrize(("setting", "value", "part_mib"), [("FILE_MEMORY_MB", "128", 12), ("PART_MIB", "32", 32)])
def test_parts_are_as_small_as_memory_and_as_large_as_the_setting_says(
    deployment: Deployment,
    source: SourceServer,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    value: str,
    part_mib: int,
) -> None:
    monkeypatch.setenv(f"SLUICEWAY_{setting}", value)
    forget_services()
    assert processed(deployment, source, 5 * GIB)["split"]["part_bytes"] == part_mib * MIB
