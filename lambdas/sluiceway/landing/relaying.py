"""When an invocation must stop, and what is carried to the next.

Knows the remaining time and what a checkpoint must say. Refuses to know how bytes move.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sluiceway.errors import CannotResumeError, SluicewayError
from sluiceway.landing.tally import Tally
from sluiceway.transfer.checkpoint import Checkpoint, Position

# What is kept back from the time left: to send the parts in flight, write the table and return.
RESERVE_SHARE = 0.2
MAX_RESERVE_SECONDS = 90.0
# Two invocations in a row that moved nothing will not be followed by a third.
MAX_IDLE = 2
# A file is judged by an invocation that had at least this share of its time left when the file began. Any that comes
# first has: reading the unit and the table takes seconds.
WHOLE_SHARE = 0.8
# How often a file may be begun anew because its source changed or cannot resume, over all its invocations.
MAX_RESTARTS = 3


@dataclass(slots=True)
class TimeLeft:
    """The end of this invocation on the monotonic clock, its reserve of `reserve_seconds` already taken off. Shared by
    the threads of an invocation; `end_now` ends it for all of them, as when the job is cancelled. `half_at` is half way
    to the end: what cannot be cut begins before, or in the next invocation. `whole_seconds` is the time from its
    beginning to the stop."""

    stop_at: float
    clock: Callable[[], float] = time.monotonic
    half_at: float = float("inf")
    reserve_seconds: float = 0.0
    whole_seconds: float = 0.0

    @classmethod
    def of(cls, remaining_ms: int, *, clock: Callable[[], float] = time.monotonic) -> TimeLeft:
        """From Lambda's remaining milliseconds at the start of the invocation."""
        now, seconds = clock(), remaining_ms / 1000
        reserve = min(MAX_RESERVE_SECONDS, seconds * RESERVE_SHARE)
        worked = seconds - reserve
        return cls(now + worked, clock, now + worked / 2, reserve, worked)

    def seconds(self) -> float:
        """How many are left; none, or fewer, once time is up."""
        return self.stop_at - self.clock()

    def is_short(self, in_flight_seconds: float = 0.0) -> bool:
        """Whether to stop now. Half of the reserve is for the parts in flight by then, the other half for the table and
        the answer: where the parts may take more `in_flight_seconds`, the stop is as much earlier."""
        return self.clock() >= self.stop_at - max(0.0, in_flight_seconds - self.reserve_seconds / 2)

    def is_half_gone(self) -> bool:
        return self.clock() >= min(self.half_at, self.stop_at)

    def end_now(self) -> None:
        self.stop_at = 0.0


@dataclass(frozen=True, slots=True)
class Stint:
    """One file's part of an invocation: where it stood `before`, and how many of its `whole_seconds` were left then."""

    before: Checkpoint
    seconds: float
    whole_seconds: float

    @classmethod
    def of(cls, before: Checkpoint | None, time_left: TimeLeft | None) -> Stint:
        before, time_left = before or Checkpoint(Position(), relays=0), time_left or TimeLeft(float("inf"))
        return cls(before, time_left.seconds(), time_left.whole_seconds)

    @property
    def is_whole(self) -> bool:
        """Whether the file had as good as all the time that there is."""
        return self.seconds >= WHOLE_SHARE * self.whole_seconds

    def anew(self, error: SluicewayError) -> Stint:
        """The same, of a file that begins at its first byte once more. Raises `error`, why it must, after so many."""
        if self.before.restarts >= MAX_RESTARTS:
            raise error
        return replace(self, before=replace(self.before.emptied(), restarts=self.before.restarts + 1))

    def sent_again(self, error: SluicewayError) -> Stint:
        """As `anew`, because S3 asked for it: once."""
        if self.before.sent_again:
            raise error
        return replace(self, before=replace(self.before.emptied(), sent_again=True))

    def pause(self, position: Position, tally: Tally, shown: str) -> Checkpoint:
        """What the next invocation goes on with, from `position`. Raises CannotResumeError after MAX_IDLE whole ones
        without progress."""
        if position.offset > self.before.position.offset:
            return self._carried(tally, position=position, idle=0, tried_seconds=0.0)
        idle = self.before.idle + self.is_whole
        if idle >= MAX_IDLE:
            raise CannotResumeError(f"{shown}: {idle} invocations in a row moved nothing past byte {position.offset}")
        return self._carried(tally, position=position, idle=idle, tried_seconds=self.seconds)

    def give_up(self, tally: Tally, error: CannotResumeError) -> Checkpoint:
        """What the next invocation begins anew with, of a file that can do nothing else. Raises `error` where it had a
        whole one."""
        if self.is_whole:
            raise error
        return self._carried(tally, tried_seconds=self.seconds)

    def _carried(self, tally: Tally, **facts: Any) -> Checkpoint:
        so_far = tally.measured()
        return replace(self.before, relays=so_far.relays + 1, seconds=so_far.seconds, counts=so_far.counts, **facts)


def is_too_late(before: Checkpoint, time_left: TimeLeft) -> bool:
    """Whether a file that had too few seconds had better wait for the next invocation: it is given at least twice as
    many each time, which comes to a whole invocation soon."""
    return time_left.seconds() < min(2 * before.tried_seconds, WHOLE_SHARE * time_left.whole_seconds)
