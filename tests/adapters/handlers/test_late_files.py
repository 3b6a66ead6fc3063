"""Files whose source cannot resume, and that run out of time: the one that had all of it, and those that began late."""

from __future__ import annotations

import pytest

from tests.adapters.handlers.late_units import Clock, invoke, report, taking, unit_of
from tests.support.deployment import Deployment
from tests.support.source import SourceServer


@pytest.fixture
def settings() -> dict[str, str]:
    return {"batch_threads": "1"}


def test_a_file_that_takes_longer_than_an_invocation_and_cannot_resume_fails_for_that(
    deployment: Deployment, source: SourceServer, clock: Clock
) -> None:
    source.replies["/0"] = taking(clock, 811)
    event = unit_of(deployment, source, 1)

    assert invoke(deployment, event, clock) == {"action": "DONE"}

    (line,) = report(deployment, event)
    assert (line["status"], line["error"]["type"]) == ("FAILED", "CannotResumeError")
    assert "it takes longer than one invocation and has no ranges" in line["error"]["message"]


def test_a_file_that_began_late_is_begun_anew_among_the_first_of_the_next_invocation(
    deployment: Deployment, source: SourceServer, clock: Clock
) -> None:
    source.replies |= {f"/{n}": taking(clock, 40) for n in range(25)}
    event = unit_of(deployment, source, 25)

    answer = invoke(deployment, event, clock)
    # 810 seconds are good for twenty files; the one begun at 800 is not.
    assert (answer["action"], len(answer["carry"]["files"])) == ("CONTINUE", 1)
    done = len(source.requests)
    assert invoke(deployment, answer, clock) == {"action": "DONE"}

    assert (done, len(source.requests)) == (21, 26)
    assert source.requests[20].path == source.requests[21].path == "/20"
    assert {line["status"] for line in report(deployment, event)} == {"STORED"}


def test_a_file_that_was_late_waits_for_twice_the_time_it_had(
    deployment: Deployment, source: SourceServer, clock: Clock
) -> None:
    source.replies["/0"] = taking(clock, 40)
    event = unit_of(deployment, source, 1)

    answers = [event]
    for waited in (800, 791, 789, 600):  # 10, 19, 21 and 210 seconds are left
        answers.append(invoke(deployment, answers[-1], clock, waited=waited))

    first, too_late, second, done = (each.get("carry") for each in answers[1:])
    assert first == too_late and done is None
    tried = [[each["tried_seconds"] for each in carry["files"].values()] for carry in (first, second)]
    assert tried == [[10.0], [21.0]]
    assert [carry["idle"] for carry in (first, too_late, second)] == [0, 0, 0]
    assert len(source.requests) == 3
    assert [line["status"] for line in report(deployment, event)] == ["STORED"]


def test_a_file_that_always_began_late_has_a_whole_invocation_in_the_end(
    deployment: Deployment, source: SourceServer, clock: Clock
) -> None:
    source.replies["/0"] = taking(clock, 2000)
    event = unit_of(deployment, source, 1)

    answer, invocations = event, 0
    for left in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 810):
        answer = invoke(deployment, answer, clock, waited=810 - left)
        invocations += 1

    assert (answer, invocations, len(source.requests)) == ({"action": "DONE"}, 11, 11)
    assert [line["error"]["type"] for line in report(deployment, event)] == ["CannotResumeError"]
