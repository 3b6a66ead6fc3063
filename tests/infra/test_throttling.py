"""Throttling is waited out for as long as a job may take, within the history that an execution may have."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from itertools import accumulate, islice
from typing import Any

import pytest

from bench.scale import CHOICE_EVENTS, MAX_EVENTS, TASK_EVENTS, TB, Job, needs
from infra.alarms import THROTTLES_IN_FIVE_MINUTES
from infra.settings import Settings
from sluiceway.cost import Machine
from sluiceway.transfer.segments import MAX_AT_ONCE, MAX_SEGMENTS
from tests.infra.names import TASKS
from tests.infra.template import Template, states_of

THROTTLED = "Lambda.TooManyRequestsException"
# A task that failed: scheduled, started, failed.
ATTEMPT_EVENTS = 3
DEADLINE_SECONDS = Settings().deadline_minutes * 60
# What a file that outlasts an invocation adds for each, and the least that it takes.
RELAY_EVENTS, RELAY_SECONDS = TASK_EVENTS + CHOICE_EVENTS, 0.9 * Machine().timeout_seconds
Retry = dict[str, Any]


@pytest.fixture(scope="module")
def retries(template: Template) -> dict[str, Retry]:
    """How each task waits while it is throttled."""
    return {
        name: retry
        for name, state in states_of(template.machine())
        for retry in state.get("Retry", ())
        if THROTTLED in retry["ErrorEquals"]
    }


def bounds(retry: Retry) -> Iterator[float]:
    """The longest that each wait may be; with full jitter it is half of that in the mean."""
    bound = retry["IntervalSeconds"]
    while True:
        yield min(bound, retry["MaxDelaySeconds"])
        bound = min(bound * retry["BackoffRate"], retry["MaxDelaySeconds"])


@pytest.mark.parametrize("name", TASKS)
def test_no_deadline_outlasts_the_attempts(retries: dict[str, Retry], name: str) -> None:
    retry = retries[name]
    deadline = Settings.from_context({"deadline_minutes": 14 * 24 * 60}).deadline_minutes * 60
    # Twice the deadline in the mean: of thousands of waits the sum is never half of that.
    assert retry["MaxAttempts"] * retry["MaxDelaySeconds"] / 2 > 2 * deadline


def test_ten_children_that_wait_raise_the_alarm(retries: dict[str, Retry]) -> None:
    assert 10 * 300 / (retries["ProcessFile"]["MaxDelaySeconds"] / 2) >= THROTTLES_IN_FIVE_MINUTES


def most_events(retry: Retry, events: float, *, states: int, lanes: int = 1) -> float:
    """Of an execution that has `events` of its own, when from beginning to deadline whatever its `lanes` do is
    throttled, in the way that makes the most events: short waits of each of its `states` first, then whichever is worse
    of waiting on and of relays that are throttled at every invocation."""
    seconds = lanes * float(DEADLINE_SECONDS)
    longest = retry["MaxDelaySeconds"]
    for bound in bounds(retry):
        if bound >= longest:
            break
        attempts = min(states, seconds / (bound / 2))
        events, seconds = events + attempts * ATTEMPT_EVENTS, seconds - attempts * bound / 2
    waited = accumulate(islice((bound / 2 for bound in bounds(retry)), 20))
    relayed = [(RELAY_EVENTS + ATTEMPT_EVENTS * n) / (RELAY_SECONDS + each) for n, each in enumerate(waited, 1)]
    return events + seconds * max(ATTEMPT_EVENTS / (longest / 2), *relayed)


def test_a_file_that_waits_until_the_deadline_keeps_within_its_history(retries: dict[str, Retry]) -> None:
    alone = needs(Job("one", 1, TB // 100)).child_events
    for name in ("ProcessFile", "ProcessFileLarge", "FinishFile", "RecordFailure"):
        assert most_events(retries[name], alone, states=4) < MAX_EVENTS


def test_segments_that_wait_until_the_deadline_keep_within_the_history_they_share(retries: dict[str, Retry]) -> None:
    split = needs(Job("split", 1, 5 * TB, split=True))
    # Without the one retry of each invocation that these events leave room for: here they are what is counted.
    retried = ATTEMPT_EVENTS * MAX_SEGMENTS * 2
    of_segments = split.child_events * MAX_SEGMENTS / split.segments - retried
    shared = {"states": MAX_SEGMENTS, "lanes": MAX_AT_ONCE}
    assert most_events(retries["MoveSegment"], of_segments, **shared) < MAX_EVENTS
    # As long as others wait would be too short.
    assert most_events(retries["ProcessFile"], of_segments, **shared) > MAX_EVENTS


def test_a_job_whose_every_poll_is_throttled_keeps_within_its_history(retries: dict[str, Retry]) -> None:
    parent = needs(Job("polled", 1, 1000)).parent_events
    assert most_events(retries["PollExport"], parent, states=1000) < MAX_EVENTS


def finished_after(retry: Retry, *, children: int, at_once: int, work: list[float]) -> float:
    """Seconds until the last child has done its invocations, of the seconds in `work` each, where the account runs
    `at_once`; infinite where one ran out of attempts."""
    chance, running = random.Random(1), list[float]()
    # When it is tried, which child, how much of its work is done, how often it was throttled since.
    ahead: list[tuple[float, int, int, int]] = [(0.0, child, 0, 0) for child in range(children)]
    end = 0.0
    while ahead:
        now, child, done, attempt = heapq.heappop(ahead)
        running = [until for until in running if until > now]
        if len(running) < at_once:
            running.append(end := now + work[done])
            if done + 1 < len(work):
                heapq.heappush(ahead, (end, child, done + 1, 0))
        elif attempt == retry["MaxAttempts"]:
            return float("inf")
        else:
            wait = chance.uniform(0, next(islice(bounds(retry), attempt, None)))
            heapq.heappush(ahead, (now + wait, child, done, attempt + 1))
    return end


@pytest.mark.parametrize("work", [[286.0], [810.0] * 5], ids=["20 GB", "five invocations"])
def test_a_hundred_files_land_in_an_account_that_runs_ten_functions(
    retries: dict[str, Retry], work: list[float]
) -> None:
    least = 100 * sum(work) / 10
    assert least < finished_after(retries["ProcessFile"], children=100, at_once=10, work=work) < 1.3 * least
