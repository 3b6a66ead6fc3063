"""Large files of an execution that is redriven after its job had ended: what was sent of them is gone, so they are
begun anew, whether they were relayed or split. And a split file that an earlier run landed is not split again."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from sluiceway.errors import SplitOverError
from sluiceway.jobs.units import Unit
from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.processing import next_step, process_unit
from tests.adapters.handlers.redrives import Executions, abort_uploads, status_event
from tests.conftest import AwsServer
from tests.support.deployment import Deployment, deploy
from tests.support.ranges import MIB, File, RangeSource, range_source

JOB = "large"
FILES = {"/0": File(13 * MIB + 7), "/1": File(11 * MIB + 1)}
LANDED = {path[1:]: b"".join(file.blocks()) for path, file in FILES.items()}


@pytest.fixture
def ranges() -> Iterator[RangeSource]:
    with range_source(FILES) as ranges:
        yield ranges


@pytest.fixture
def deployment(moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, ranges: RangeSource) -> Iterator[Deployment]:
    settings = {"allowed_sources": ranges.host, "split_bytes": str(5 * MIB), "part_mib": "5"}
    with deploy(moto_server, monkeypatch, **settings) as deployment:
        yield deployment


def dispatched(
    deployment: Deployment, ranges: RangeSource, *paths: str, **more: Any
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The owner, and what ProcessFile is given for each file."""
    document = {"job_id": JOB, "source": {"type": "urls", "files": [ranges.url(path) for path in paths]}, **more}
    execution = deployment.new_execution()
    deployment.start(document, execution)
    owner = {"job_id": JOB, "execution": execution}
    answer = deployment.invoke("dispatch_files", owner)
    units = json.loads(deployment.read(answer["units_key"]))
    return owner, [{**owner, "unit": unit} for unit in units]


def move(deployment: Deployment, begun: dict[str, Any]) -> None:
    """What the child does of a file that was split."""
    assert begun["action"] == "SPLIT"
    for n in begun["segments"]:
        deployment.invoke("move_segment", {**begun, "n": n})
    deployment.invoke("finish_file", begun)


def stop(deployment: Deployment, executions: Executions, owner: dict[str, str], *, redrives: int = 1) -> None:
    """The execution times out, its job ends, and it is redriven."""
    deployment.invoke("complete_job", status_event(owner["execution"], "TIMED_OUT"))
    abort_uploads(deployment)
    executions.running[owner["execution"]] = redrives


@pytest.mark.parametrize("stopped_in", ["a segment", "FinishFile"])
def test_a_split_file_is_begun_anew(
    deployment: Deployment, ranges: RangeSource, executions: Executions, stopped_in: str
) -> None:
    owner, (event,) = dispatched(deployment, ranges, "/0", split="crc")
    before = deployment.invoke("process_file", event)
    moved = before["segments"] if stopped_in == "FinishFile" else before["segments"][:1]
    for n in moved:
        deployment.invoke("move_segment", {**before, "n": n})
    stop(deployment, executions, owner)

    # Redriven, Step Functions runs what had not succeeded, with the same input.
    with pytest.raises(SplitOverError, match="run 1 ended while this file was split"):
        if stopped_in == "FinishFile":
            deployment.invoke("finish_file", before)
        else:
            deployment.invoke("move_segment", {**before, "n": 1})
    # The Catch discards the error.
    begun = deployment.invoke("process_file", before)
    assert (begun["run"], begun["split"]["upload_id"] != before["split"]["upload_id"]) == (2, True)
    move(deployment, begun)

    answer = deployment.invoke("complete_job", owner)
    assert (answer["status"], answer["files"]["stored"]) == ("COMPLETED", 1)
    assert (deployment.landed(), deployment.unfinished_uploads()) == ({"0": LANDED["0"]}, [])


def test_a_split_of_the_run_before_ends_though_another_child_has_resumed_the_job(
    deployment: Deployment, ranges: RangeSource, executions: Executions
) -> None:
    owner, (one, other) = dispatched(deployment, ranges, "/0", "/1", split="crc")
    before = deployment.invoke("process_file", one)
    stop(deployment, executions, owner)
    move(deployment, deployment.invoke("process_file", other))
    ranges.requests.clear()

    for n in before["segments"]:
        with pytest.raises(SplitOverError):
            deployment.invoke("move_segment", {**before, "n": n})
    assert ranges.requests == []
    move(deployment, deployment.invoke("process_file", before))

    assert deployment.invoke("complete_job", owner)["files"]["stored"] == 2
    assert (deployment.landed(), deployment.unfinished_uploads()) == (LANDED, [])


def test_a_split_file_that_had_landed_is_not_moved_again(
    deployment: Deployment, ranges: RangeSource, executions: Executions
) -> None:
    owner, (one, other) = dispatched(deployment, ranges, "/0", "/1", split="crc")
    before = deployment.invoke("process_file", one)
    move(deployment, before)
    # Stopped before the child was told so.
    stop(deployment, executions, owner)
    ranges.requests.clear()

    with pytest.raises(SplitOverError):
        deployment.invoke("finish_file", before)
    assert deployment.invoke("process_file", before) == {"action": "DONE"}
    assert ranges.requests == []
    move(deployment, deployment.invoke("process_file", other))

    assert deployment.invoke("complete_job", owner)["files"]["stored"] == 2
    assert deployment.landed() == LANDED


def test_a_segment_that_outlived_its_execution_resumes_nothing(
    deployment: Deployment, ranges: RangeSource, executions: Executions
) -> None:
    owner, (event,) = dispatched(deployment, ranges, "/0", split="crc")
    before = deployment.invoke("process_file", event)
    stop(deployment, executions, owner, redrives=0)
    rows = deployment.rows()

    with pytest.raises(SplitOverError):
        deployment.invoke("move_segment", {**before, "n": 0})

    assert deployment.invoke("process_file", before) == {"action": "DONE"}
    assert (deployment.rows(), deployment.unfinished_uploads()) == (rows, [])


def test_a_relayed_file_is_begun_anew(deployment: Deployment, ranges: RangeSource, executions: Executions) -> None:
    owner, (event,) = dispatched(deployment, ranges, "/0")
    # The clock is looked at before each read: time is short after the first of the file's three parts.
    short = TimeLeft(14, itertools.count().__next__)
    worked = process_unit(deployment.movers, JOB, owner["execution"], Unit(**event["unit"]), short)
    relayed = next_step(event, worked)
    assert (relayed["action"], deployment.unfinished_uploads()) == ("CONTINUE", ["0"])
    stop(deployment, executions, owner)

    assert deployment.invoke("process_file", relayed) == {"action": "DONE"}

    assert deployment.invoke("complete_job", owner)["status"] == "COMPLETED"
    assert (deployment.landed(), deployment.unfinished_uploads()) == ({"0": LANDED["0"]}, [])


def test_a_split_file_that_is_stored_still_is_not_moved_by_the_next_run(
    deployment: Deployment, ranges: RangeSource
) -> None:
    owner, (event,) = dispatched(deployment, ranges, "/0", split="crc")
    move(deployment, deployment.invoke("process_file", event))
    assert deployment.invoke("complete_job", owner)["status"] == "COMPLETED"
    ranges.requests.clear()

    owner, (event,) = dispatched(deployment, ranges, "/0", split="crc")
    assert deployment.invoke("process_file", event) == {"action": "DONE"}

    assert deployment.invoke("complete_job", owner)["files"]["skipped"] == 1
    assert ranges.requests == []
    (line,) = deployment.lines(JOB, "report.jsonl")
    assert line["reason"] == "stored by an earlier run of the job"
