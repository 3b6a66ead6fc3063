"""A file in segments is fair to its source, and sees its job stop: as a file that is moved whole."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluiceway.errors import NoProgressError
from sluiceway.landing.relaying import TimeLeft
from sluiceway.source.retry import RetryBudget
from sluiceway.steps import looking
from tests.conftest import AwsServer
from tests.support.answers import Answers
from tests.support.deployment import Deployment, caught, deploy
from tests.support.ranges import MIB, File, RangeSource, Sending, range_source
from tests.support.source import SourceServer

JOB = "split"
HOST = "127.0.0.1"
LARGE = File(23 * MIB + 7, bytes_per_second=20 * MIB)


@dataclass
class Watched:
    """The source of `/large`: what is done at each of its pieces, and how many answers it was sending at once."""

    on_piece: Callable[[Sending], None] = lambda _: None
    answers: Answers = field(default_factory=lambda: Answers(LARGE.size, 5 * MIB))

    def on_send(self, sending: Sending) -> None:
        self.answers.on_send(sending)
        self.on_piece(sending)


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def ranges(watched: Watched) -> Iterator[RangeSource]:
    with range_source({"/large": LARGE}, watched.on_send) as ranges:
        yield ranges


@pytest.fixture
def deployment(
    moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, source: SourceServer, ranges: RangeSource
) -> Iterator[Deployment]:
    settings = {"allowed_sources": f"{source.host},{ranges.host}", "split_bytes": str(5 * MIB), "part_mib": "5"}
    monkeypatch.setattr(looking, "LOOK_EVERY_SECONDS", 0.05)
    with deploy(moto_server, monkeypatch, **settings) as deployment:
        deployment.movers.source.budget = RetryBudget(sleep=lambda seconds: None)
        yield deployment


@dataclass
class Clock:
    """The time is up at 1."""

    now: float = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(TimeLeft, "of", classmethod(lambda cls, ms: cls(1.0, clock=lambda: clock.now)))
    return clock


def dispatched(deployment: Deployment, url: str, *others: str, **limits: float) -> tuple[dict[str, str], list[Any]]:
    """Who owns the job, and what ProcessFile is given for each of its files."""
    execution = deployment.new_execution()
    files = [{"url": url, "split": "crc"}, *others]
    deployment.start({"job_id": JOB, "source": {"type": "urls", "files": files}, "limits": limits}, execution)
    owner = {"job_id": JOB, "execution": execution}
    units = json.loads(deployment.read(deployment.invoke("dispatch_files", owner)["units_key"]))
    return owner, [{**owner, "unit": unit} for unit in units]


def ended(deployment: Deployment, owner: dict[str, str], begun: dict[str, Any]) -> tuple[str, str, Any]:
    """The job's state, the file's and its reason, once FinishFile and CompleteJob have done their part."""
    assert deployment.invoke("finish_file", begun) == {"action": "DONE"}
    assert deployment.unfinished_uploads() == []
    status = deployment.invoke("complete_job", owner)["status"]
    line = next(line for line in deployment.lines(JOB, "report.jsonl") if line["key"] == "large")
    assert "large" not in deployment.landed()
    return status, line["status"], line["reason"]


def test_segments_of_a_cancelled_job_ask_for_no_byte(deployment: Deployment, ranges: RangeSource) -> None:
    owner, (event,) = dispatched(deployment, ranges.url("/large"))
    begun = deployment.invoke("process_file", event)
    deployment.invoke("move_segment", {**begun, "n": 0})
    ranges.requests.clear()
    deployment.jobs.request_cancel(JOB)

    for n in begun["segments"][1:]:
        assert deployment.invoke("move_segment", {**begun, "n": n}) == {"action": "DONE"}

    assert ranges.requests == []
    assert ended(deployment, owner, begun) == ("CANCELLED", "CANCELLED", "the job was cancelled")


def test_a_segment_that_is_moving_when_its_job_is_cancelled_stops(
    deployment: Deployment, ranges: RangeSource, watched: Watched
) -> None:
    owner, (event,) = dispatched(deployment, ranges.url("/large"))
    begun = deployment.invoke("process_file", event)
    watched.on_piece = lambda _: deployment.jobs.request_cancel(JOB)

    assert deployment.invoke("move_segment", {**begun, "n": 1}) == {"action": "DONE"}

    rows = deployment.services.segments.rows(JOB, 1, *deployment.tasks(JOB))
    assert [row.total for row in rows] == [None, None]
    assert ended(deployment, owner, begun) == ("CANCELLED", "CANCELLED", "the job was cancelled")


def test_segments_of_a_job_past_its_failures_ask_for_no_byte(deployment: Deployment, ranges: RangeSource) -> None:
    owner, (event, other) = dispatched(
        deployment, ranges.url("/large"), ranges.url("/large") + "x", failed_files_percent=10
    )
    begun = deployment.invoke("process_file", event)
    deployment.invoke("record_failure", {**other, "error": caught(RuntimeError("broke"))})

    assert deployment.invoke("move_segment", {**begun, "n": 0}) == {"action": "DONE"}

    assert ended(deployment, owner, begun) == ("FAILED", "CANCELLED", "too many files of the job had failed")


def test_a_file_whose_segments_have_all_moved_is_finished_though_its_job_is_cancelled(
    deployment: Deployment, ranges: RangeSource
) -> None:
    owner, (event,) = dispatched(deployment, ranges.url("/large"))
    begun = deployment.invoke("process_file", event)
    for n in begun["segments"]:
        deployment.invoke("move_segment", {**begun, "n": n})
    deployment.jobs.request_cancel(JOB)
    deployment.invoke("finish_file", begun)

    answer = deployment.invoke("complete_job", owner)
    assert (answer["status"], answer["files"]["stored"]) == ("CANCELLED", 1)
    assert deployment.landed() == {"large": b"".join(LARGE.blocks())}


def test_no_more_segments_of_a_host_are_asked_for_at_once_than_the_job_allows(
    deployment: Deployment, ranges: RangeSource, watched: Watched
) -> None:
    owner, (event,) = dispatched(deployment, ranges.url("/large"), max_concurrency_per_host=2)
    begun = deployment.invoke("process_file", event)
    assert len(begun["segments"]) == 5

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda n: deployment.invoke("move_segment", {**begun, "n": n}), begun["segments"]))

    assert answers == [{"action": "DONE"}] * 5
    assert watched.answers.most == 2
    assert not [row for row in deployment.rows() if row["sk"]["S"].startswith("SLOT#")]
    deployment.invoke("finish_file", begun)
    assert deployment.invoke("complete_job", owner)["files"]["stored"] == 1


@pytest.mark.parametrize(
    ("limits", "at_once"),
    [
        ({}, 40),
        ({"max_concurrency": 200}, 40),
        ({"max_concurrency": 7}, 7),
        ({"max_concurrency": 7, "max_concurrency_per_host": 3}, 3),
        ({"max_concurrency": 3, "max_concurrency_per_host": 7}, 3),
    ],
)
def test_no_more_functions_are_begun_than_may_ask_the_host(
    deployment: Deployment, ranges: RangeSource, limits: dict[str, int], at_once: int
) -> None:
    _, (event,) = dispatched(deployment, ranges.url("/large"), **limits)
    # Step Functions runs at most 40 items of an inline Map at once.
    assert deployment.invoke("process_file", event)["split"]["at_once"] == at_once


def test_a_segment_whose_host_gives_it_no_turn_goes_on_in_the_next_invocation(
    deployment: Deployment, ranges: RangeSource, clock: Clock
) -> None:
    _, (event,) = dispatched(deployment, ranges.url("/large"))
    begun = deployment.invoke("process_file", event)
    ranges.requests.clear()
    deployment.jobs.ask_patience(JOB, HOST, time.time() + 3)
    clock.now = 1.0

    onward: dict[str, Any] = {**begun, "n": 1}
    for _ in range(3):  # more often than a segment may move nothing
        onward = deployment.invoke("move_segment", onward)
        assert (onward["action"], onward["position"], onward["idle"]) == ("CONTINUE", None, 0)

    assert ranges.requests == []
    clock.now = 0.0
    clock.now = 0.0
    assert deployment.invoke("move_segment", onward) == {"action": "DONE"}


def test_a_file_whose_host_gives_it_no_turn_is_split_in_the_next_invocation(
    deployment: Deployment, ranges: RangeSource, clock: Clock
) -> None:
    _, (event,) = dispatched(deployment, ranges.url("/large"))
    deployment.jobs.ask_patience(JOB, HOST, time.time() + 3)
    clock.now = 1.0

    onward = deployment.invoke("process_file", event)

    assert (onward["action"], onward["carry"]["idle"], ranges.requests) == ("CONTINUE", 0, [])
    clock.now = 0.0
    assert deployment.invoke("process_file", onward)["action"] == "SPLIT"


@pytest.mark.parametrize("heard_by", ["process_file", "move_segment"])
def test_a_hosts_plea_reaches_the_functions_that_work_on_other_files(
    deployment: Deployment, source: SourceServer, ranges: RangeSource, heard_by: str
) -> None:
    _, (event,) = dispatched(deployment, ranges.url("/large"))
    if heard_by == "move_segment":
        event = {**deployment.invoke("process_file", event), "n": 0}
    assert deployment.jobs.get(JOB).patience == {}
    deployment.movers.source.asked_to_wait[HOST] = until = time.time() + 60

    deployment.invoke(heard_by, event)

    assert deployment.jobs.get(JOB).patience == {HOST: until}


def test_two_invocations_in_a_row_without_a_byte_end_the_segment(
    deployment: Deployment, ranges: RangeSource, watched: Watched, clock: Clock
) -> None:
    owner, (event,) = dispatched(deployment, ranges.url("/large"))
    begun = deployment.invoke("process_file", event)

    def late(sending: Sending) -> None:
        if sending.offset >= 6 * MIB:
            clock.now = 1.0

    # The first moves a part, so the next may be idle once.
    watched.on_piece = late
    onward = deployment.invoke("move_segment", {**begun, "split": wide(begun["split"]), "n": 0})
    assert (onward["position"]["offset"], onward["idle"]) == (5 * MIB, 0)
    watched.on_piece = lambda _: None
    onward = deployment.invoke("move_segment", onward)
    assert (onward["position"]["offset"], onward["idle"]) == (5 * MIB, 1)
    with pytest.raises(NoProgressError) as error:
        deployment.invoke("move_segment", onward)

    clock.now = 0.0
    deployment.invoke("record_failure", {**begun, "error": caught(error.value)})
    assert deployment.unfinished_uploads() == []
    assert deployment.invoke("complete_job", owner)["files"]["failed"] == 1


def wide(split: dict[str, Any]) -> dict[str, Any]:
    """The same parts, in segments of two."""
    return {**split, "segment_bytes": 10 * MIB, "segments": 3}


def test_a_segment_that_never_moves_a_byte_is_given_up_by_its_second_invocation(
    deployment: Deployment, ranges: RangeSource, clock: Clock
) -> None:
    _, (event,) = dispatched(deployment, ranges.url("/large"))
    begun = deployment.invoke("process_file", event)
    clock.now = 1.0
    onward = deployment.invoke("move_segment", {**begun, "n": 1})
    assert (onward["position"]["offset"], onward["idle"]) == (5 * MIB, 1)
    with pytest.raises(NoProgressError):
        deployment.invoke("move_segment", onward)
