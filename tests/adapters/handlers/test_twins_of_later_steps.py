"""Two invocations at the same moment that go on with what an earlier one began, or that end what another did."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from sluiceway.jobs.counts import Counts
from sluiceway.jobs.files import FileResult
from sluiceway.jobs.states import FileState
from sluiceway.jobs.units import Unit
from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.processing import next_step, process_unit
from tests.adapters.handlers.twins import (
    JOB,
    PATIENCE_SECONDS,
    Event,
    Twins,
    counts_of_the_report,
    dispatched,
    twins_of,
)
from tests.conftest import AwsServer
from tests.support.deployment import Deployment, deploy, forget_services
from tests.support.ranges import File, RangeSource, range_source
from tests.support.source import Body, Reply, SourceServer

MIB = 1024**2
FILE = File(17 * MIB)
STORED = FileResult(FileState.STORED, 3)
FAILED = FileResult(FileState.FAILED, error_type="SinkError", error_message="of the other invocation")


@pytest.fixture
def ranges() -> Iterator[RangeSource]:
    with range_source({"/a.bin": FILE}) as ranges:
        yield ranges


@pytest.fixture
def deployment(
    moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, source: SourceServer, ranges: RangeSource
) -> Iterator[Deployment]:
    allowed = f"{source.host},{ranges.host}"
    with deploy(moto_server, monkeypatch, allowed_sources=allowed, part_mib="5") as deployment:
        yield deployment


@pytest.fixture
def twins(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twins]:
    with twins_of(deployment, monkeypatch) as twins:
        yield twins


def relayed(deployment: Deployment, event: Event) -> Event:
    """What is carried of a file whose first invocation ran out of time."""
    unit = Unit(**event["unit"])
    # The clock is looked at before each read.
    short = TimeLeft(14, itertools.count().__next__)
    worked = process_unit(deployment.movers, event["job_id"], event["execution"], unit, short)
    carried = next_step(event, worked)
    assert carried["action"] == "CONTINUE" and len(deployment.unfinished_uploads()) == 1
    return carried


def test_a_carried_file_goes_on_though_another_invocation_saw_it_fail(
    deployment: Deployment, ranges: RangeSource
) -> None:
    owner, event = dispatched(deployment, ranges.url("/a.bin"))
    event = relayed(deployment, event)
    deployment.files.end(JOB, 1, [(task, FAILED) for task in deployment.tasks(JOB)])

    while event["action"] == "CONTINUE":
        event = deployment.invoke("process_file", event)
    ended = deployment.invoke("complete_job", owner)

    assert (ended["status"], ended["files"]["stored"]) == ("COMPLETED", 1)
    assert deployment.files.counts(JOB, 1) == counts_of_the_report(deployment) == Counts(stored=1, bytes=FILE.size)
    assert deployment.unfinished_uploads() == []


def test_an_upload_that_both_go_on_with_stays_for_the_commit(
    deployment: Deployment, twins: Twins, ranges: RangeSource
) -> None:
    owner, event = dispatched(deployment, ranges.url("/a.bin"), commit="all-or-nothing")

    twins.invoke("process_file", relayed(deployment, event))
    deployment.invoke("commit_files", owner)
    ended = deployment.invoke("complete_job", owner)

    assert (ended["status"], ended["files"]["stored"]) == ("COMPLETED", 1)
    assert [len(body) for body in deployment.landed().values()] == [FILE.size]
    assert deployment.unfinished_uploads() == []


def moved_in_segments(
    deployment: Deployment, ranges: RangeSource, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, str], Event]:
    """A job whose file lacks nothing but FinishFile."""
    monkeypatch.setenv("SLUICEWAY_SPLIT_BYTES", str(5 * MIB))
    forget_services()
    owner, event = dispatched(deployment, ranges.url("/a.bin"), split="crc")
    begun = deployment.invoke("process_file", event)
    for n in begun["segments"]:
        deployment.invoke("move_segment", {**begun, "n": n})
    return owner, begun


def test_a_split_file_finished_twice_at_once_is_stored_once(
    deployment: Deployment, twins: Twins, ranges: RangeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, begun = moved_in_segments(deployment, ranges, monkeypatch)
    answers: list[Any] = []
    twins.held_back = FileState.STORED
    slow = twins.start("finish_file", begun, answers)
    assert twins.reached.wait(PATIENCE_SECONDS)
    twins.held_back = None
    deployment.invoke("finish_file", begun)
    twins.released.set()
    slow.join(PATIENCE_SECONDS)
    ended = deployment.invoke("complete_job", owner)

    assert (answers, ended["status"], ended["files"]["stored"]) == ([{"action": "DONE"}], "COMPLETED", 1)
    assert deployment.files.counts(JOB, 1) == counts_of_the_report(deployment) == Counts(stored=1, bytes=FILE.size)


def test_a_split_file_is_finished_though_another_invocation_saw_it_fail(
    deployment: Deployment, ranges: RangeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, begun = moved_in_segments(deployment, ranges, monkeypatch)
    deployment.files.end(JOB, 1, [(task, FAILED) for task in deployment.tasks(JOB)])

    deployment.invoke("finish_file", begun)

    assert deployment.invoke("complete_job", owner)["status"] == "COMPLETED"
    (line,) = deployment.lines(JOB, "report.jsonl")
    assert (line["status"], line["overruled"], line["segments"]) == ("STORED", "FAILED", len(begun["segments"]))
    assert deployment.files.counts(JOB, 1) == counts_of_the_report(deployment) == Counts(stored=1, bytes=FILE.size)


def _die(*_: Any, **__: Any) -> None:
    raise RuntimeError("before it could be written down")


def test_a_split_file_completed_by_a_function_that_died_is_stored(
    deployment: Deployment, ranges: RangeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, begun = moved_in_segments(deployment, ranges, monkeypatch)
    with monkeypatch.context() as dying, pytest.raises(RuntimeError):
        dying.setattr(type(deployment.files), "end", _die)
        deployment.invoke("finish_file", begun)
    assert (list(deployment.landed()), deployment.unfinished_uploads()) == (["a.bin"], [])

    deployment.invoke("finish_file", begun)
    ended = deployment.invoke("complete_job", owner)

    assert (ended["status"], ended["files"]["stored"]) == ("COMPLETED", 1)
    assert deployment.files.counts(JOB, 1) == counts_of_the_report(deployment) == Counts(stored=1, bytes=FILE.size)


def test_files_that_are_staged_stay_so_when_their_unit_breaks(deployment: Deployment, source: SourceServer) -> None:
    paths = ("/a", "/b")
    source.replies |= {path: Reply(Body(1000)) for path in paths}
    files = [{"url": source.url(path), "size": 1000} for path in paths]
    owner, event = dispatched(deployment, *files, commit="all-or-nothing")
    deployment.invoke("process_file", event)

    error = {"Error": "Lambda.Unknown", "Cause": "the process died after its last write"}
    deployment.invoke("record_failure", {**event, "error": error})
    deployment.invoke("commit_files", owner)
    ended = deployment.invoke("complete_job", owner)

    assert (ended["status"], ended["files"]["stored"]) == ("COMPLETED", 2)
    assert sorted(deployment.landed()) == ["a", "b"]


def test_an_end_that_comes_while_the_job_is_counted_changes_nothing(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, event = dispatched(deployment, source.url("/absent"))
    deployment.invoke("process_file", event)
    results, late = type(deployment.files).results, list[Any]()

    def overtaken_results(self: Any, job_id: str, run: int, tasks: Any) -> Any:
        found = results(self, job_id, run, tasks)
        late.append(self.end(job_id, run, [(task, STORED) for task in tasks]))
        return found

    monkeypatch.setattr(type(deployment.files), "results", overtaken_results)
    ended = deployment.invoke("complete_job", owner)

    assert late and not any(late)
    assert ended["files"]["failed"] == 1
    assert deployment.files.counts(JOB, 1) == counts_of_the_report(deployment) == Counts(failed=1)
