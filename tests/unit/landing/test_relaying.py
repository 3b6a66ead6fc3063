"""When an invocation stops, how much earlier for what is in flight, and what it makes of a file that did not move."""

from __future__ import annotations

import pytest

from sluiceway.errors import CannotResumeError, SourceRestartError
from sluiceway.landing.relaying import MAX_RESTARTS, Stint, TimeLeft, is_too_late
from sluiceway.landing.tally import Tally
from sluiceway.transfer.checkpoint import Checkpoint, Position


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("remaining_ms", "reserve"), [(900_000, 90.0), (15_000, 3.0)])
def test_an_invocation_stops_with_its_reserve_left(remaining_ms: int, reserve: float) -> None:
    clock = Clock()
    left = TimeLeft.of(remaining_ms, clock=clock)
    assert left.seconds() == remaining_ms / 1000 - reserve
    clock.now += left.seconds() - 1
    assert not left.is_short()
    clock.now += 1
    assert (left.is_short(), left.seconds()) == (True, 0.0)


def test_parts_that_may_take_more_than_half_of_the_reserve_stop_it_earlier() -> None:
    clock = Clock()
    left = TimeLeft.of(900_000, clock=clock)
    clock.now += 700
    # 110 seconds before the stop; of the reserve 45 are for the parts.
    assert not left.is_short(45.0)
    assert not left.is_short(154.0)
    assert left.is_short(155.0)


def test_an_invocation_that_is_ended_has_no_time() -> None:
    left = TimeLeft.of(900_000)
    left.end_now()
    assert left.is_short() and left.seconds() < 0


MOVED, STILL = Position(2, 10), Position(1, 0)


def stint(before: Checkpoint | None = None, *, seconds: float = 800.0) -> Stint:
    return Stint(before or Checkpoint(Position(), relays=0), seconds, 810.0)


def test_two_whole_invocations_without_progress_are_the_end() -> None:
    once = stint().pause(STILL, Tally(), "x")
    assert (once.idle, once.tried_seconds) == (1, 800.0)
    with pytest.raises(CannotResumeError, match="x: 2 invocations in a row moved nothing past byte 0"):
        stint(once).pause(STILL, Tally(), "x")


def test_progress_in_between_begins_the_count_anew() -> None:
    moved = stint(stint().pause(STILL, Tally(), "x")).pause(MOVED, Tally(), "x")
    assert (moved.idle, moved.tried_seconds, moved.position) == (0, 0.0, MOVED)
    assert stint(moved).pause(MOVED, Tally(), "x").idle == 1


def test_an_invocation_of_which_little_was_left_does_not_count() -> None:
    late = stint(seconds=647.0).pause(STILL, Tally(), "x")
    assert (late.idle, late.tried_seconds) == (0, 647.0)
    assert stint(late, seconds=648.0).pause(STILL, Tally(), "x").idle == 1


def test_a_file_begun_anew_is_still_in_the_same_invocation() -> None:
    error = SourceRestartError("changed")
    anew = stint(Checkpoint(MOVED, "id", "attempt", idle=1), seconds=7.0).anew(error)
    assert (anew.seconds, anew.before.restarts, anew.before.idle) == (7.0, 1, 1)
    assert (anew.before.is_begun, anew.before.position) == (False, Position())
    for _ in range(MAX_RESTARTS - 1):
        anew = anew.anew(error)
    with pytest.raises(SourceRestartError):
        anew.anew(error)


@pytest.mark.parametrize(
    ("tried", "left", "too_late"),
    [(0.0, 1.0, False), (10.0, 19.0, True), (10.0, 20.0, False), (700.0, 640.0, True), (700.0, 650.0, False)],
)
def test_a_file_waits_for_twice_the_time_it_had_or_for_a_whole_invocation(
    tried: float, left: float, too_late: bool
) -> None:
    clock = Clock()
    time_left = TimeLeft.of(900_000, clock=clock)
    clock.now += 810 - left
    assert is_too_late(Checkpoint(STILL, tried_seconds=tried), time_left) is too_late
