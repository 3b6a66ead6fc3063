"""When an invocation stops, and how much earlier for what is in flight."""

from __future__ import annotations

import pytest

from sluiceway.landing.relaying import TimeLeft


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
