"""What a unit carries from one invocation to the next: several files at once, one that does not move, and what another
version of the functions had written."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sluiceway.source import stall
from tests.adapters.handlers.late_units import Clock, invoke, report, unit_of
from tests.conftest import AwsServer
from tests.support.deployment import Deployment, deploy, forget_services
from tests.support.ranges import MIB, File, RangeSource, Sending, range_source
from tests.support.source import Body, Reply, Request, SourceServer, ranged

FILE = File(20 * MIB)
COUNT = 3
# What is sent and not yet read lies in the buffers of two sockets, up to ten MiB: a part has been read by then.
NEARLY_ALL = 18 * MIB


class Pace:
    """Ends an invocation when every file of it has come to `stop_at`, as often as it is told to."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.slow_down(NEARLY_ALL, files=COUNT, times=1)

    def slow_down(self, stop_at: int, *, files: int, times: int) -> None:
        self._stop_at, self._times = stop_at, times
        self._gate = threading.Barrier(files, self._end, timeout=30)

    def _end(self) -> None:
        self._clock.now += 811
        self._times -= 1

    def __call__(self, sending: Sending) -> None:
        if self._times and sending.offset == self._stop_at:
            self._gate.wait()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Pace:
    # The clock is looked at between two reads: large ones would pass the place where an invocation is to end.
    monkeypatch.setattr(stall, "QUICK_SECONDS", 0.0)
    return Pace(clock)


@pytest.fixture
def ranges(pace: Pace) -> Iterator[RangeSource]:
    with range_source({f"/{n}": FILE for n in range(COUNT)}, pace) as ranges:
        yield ranges


@pytest.fixture
def deployment(
    moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, ranges: RangeSource, source: SourceServer
) -> Iterator[Deployment]:
    settings = {"allowed_sources": f"{ranges.host},{source.host}", "part_mib": "5", "batch_threads": str(COUNT)}
    with deploy(moto_server, monkeypatch, **settings) as deployment:
        yield deployment


def carried(answer: dict[str, Any]) -> list[dict[str, Any]]:
    assert answer["action"] == "CONTINUE"
    return list(answer["carry"]["files"].values())


def test_several_files_of_a_batch_go_on_where_each_of_them_was(
    deployment: Deployment, ranges: RangeSource, clock: Clock
) -> None:
    event = unit_of(deployment, ranges, COUNT, size=FILE.size)

    answer = invoke(deployment, event, clock)

    checkpoints = carried(answer)
    assert len({each["upload_id"] for each in checkpoints}) == len(deployment.unfinished_uploads()) == COUNT
    assert all(len(json.dumps(each)) < 4096 for each in checkpoints)
    assert invoke(deployment, answer, clock) == {"action": "DONE"}
    asked = sorted(asked for _, asked in ranges.requests[COUNT:] if asked)
    assert asked == sorted(f"bytes={each['offset']}-" for each in checkpoints)
    for line in report(deployment, event):
        assert (line["status"], line["sha256"], line["relays"]) == ("STORED", FILE.sha256(), 1)
    assert {key: len(body) for key, body in deployment.landed().items()} == {str(n): FILE.size for n in range(COUNT)}


def test_a_carried_file_that_has_no_turn_is_carried_on(
    deployment: Deployment, ranges: RangeSource, pace: Pace, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = unit_of(deployment, ranges, COUNT, size=FILE.size)
    answer = invoke(deployment, event, clock)
    before = answer["carry"]["files"]
    # A deployment in between leaves the function one thread, and the first file takes all of its time.
    monkeypatch.setenv("SLUICEWAY_BATCH_THREADS", "1")
    forget_services()
    pace.slow_down(19 * MIB, files=1, times=1)

    answer = invoke(deployment, answer, clock)

    after = answer["carry"]["files"]
    assert before.keys() == after.keys()
    assert sorted(after[name] == before[name] for name in after) == [False, True, True]
    assert invoke(deployment, answer, clock) == {"action": "DONE"}
    assert [line["status"] for line in report(deployment, event)] == ["STORED"] * COUNT


def test_a_file_that_moves_nothing_in_two_invocations_is_failed_for_that(
    deployment: Deployment, ranges: RangeSource, pace: Pace, clock: Clock
) -> None:
    # Less than S3 takes as a part: nothing of it can be kept.
    pace.slow_down(3 * MIB, files=1, times=2)
    event = unit_of(deployment, ranges, 1, size=FILE.size)

    answer = invoke(deployment, event, clock)
    assert [(each["idle"], each["offset"]) for each in carried(answer)] == [(1, 0)]
    assert invoke(deployment, answer, clock) == {"action": "DONE"}

    (line,) = report(deployment, event)
    assert (line["status"], line["error"]["type"]) == ("FAILED", "CannotResumeError")
    assert "2 invocations in a row moved nothing past byte 0" in line["error"]["message"]


def test_what_another_version_carried_is_given_up_and_the_file_begun_anew(
    deployment: Deployment, ranges: RangeSource, clock: Clock
) -> None:
    event = unit_of(deployment, ranges, COUNT, size=FILE.size)
    answer = invoke(deployment, event, clock)
    old = carried(answer)[0]
    old["version"] -= 1

    assert invoke(deployment, answer, clock) == {"action": "DONE"}

    assert sorted(asked is None for _, asked in ranges.requests[COUNT:]) == [False] * (COUNT - 1) + [True]
    assert [line["status"] for line in report(deployment, event)] == ["STORED"] * COUNT


def test_a_plea_that_would_outlast_the_invocation_is_kept_for_the_next(
    deployment: Deployment, source: SourceServer, clock: Clock
) -> None:
    body = Body(12 * MIB).read()
    # It breaks in its second part, with less than a second left.
    answers = [Reply(body, headers={"ETag": '"v1"'}, cut_after=6 * MIB), Reply(b"", 503, {"Retry-After": "1"})]

    def answer(request: Request) -> Reply:
        if len(answers) == 2:
            clock.now += 809.2
        return answers.pop(0) if answers else ranged(body, request)

    source.replies["/0"] = answer
    event = unit_of(deployment, source, 1, size=len(body))

    relayed = invoke(deployment, event, clock)
    assert [(each["offset"], each["idle"]) for each in carried(relayed)] == [(5 * MIB, 0)]
    assert invoke(deployment, relayed, clock) == {"action": "DONE"}

    assert source.requests[-1].headers["Range"] == f"bytes={5 * MIB}-"
    assert deployment.landed() == {"0": body}
    (line,) = report(deployment, event)
    assert (line["status"], line["sha256"], line["relays"]) == ("STORED", Body(len(body)).digest(), 1)
