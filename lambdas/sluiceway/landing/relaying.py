"""When an invocation must stop, and what is carried to the next.

Knows the remaining time and what a checkpoint must say. Refuses to know how bytes move.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from sluiceway.errors import CannotResumeError
from sluiceway.landing.tally import Tally
from sluiceway.transfer.checkpoint import Checkpoint
from sluiceway.transfer.pipeline import Paused

# What is kept back from the time left: to send the parts in flight, write the table and return.
RESERVE_SHARE = 0.2
MAX_RESERVE_SECONDS = 90.0
# Two invocations in a row that moved nothing will not be followed by a third.
MAX_IDLE = 2


@dataclass(slots=True)
class TimeLeft:
    """The end of this invocation on the monotonic clock, its reserve already taken off. Shared by the threads of an
    invocation; `end_now` ends it for all of them, as when the job is cancelled. `half_at` is half way to the end: what
    cannot be cut begins before, or in the next invocation."""

    stop_at: float
    clock: Callable[[], float] = time.monotonic
    half_at: float = float("inf")

    @classmethod
    def of(cls, remaining_ms: int, *, clock: Callable[[], float] = time.monotonic) -> TimeLeft:
        """From Lambda's remaining milliseconds at the start of the invocation."""
        now, seconds = clock(), remaining_ms / 1000
        worked = seconds - min(MAX_RESERVE_SECONDS, seconds * RESERVE_SHARE)
        return cls(now + worked, clock, now + worked / 2)

    def is_short(self) -> bool:
        return self.clock() >= self.stop_at

    def is_half_gone(self) -> bool:
        return self.clock() >= min(self.half_at, self.stop_at)

    def end_now(self) -> None:
        self.stop_at = 0.0


def next_checkpoint(before: Checkpoint | None, paused: Paused, tally: Tally, shown: str) -> Checkpoint:
    """The checkpoint after one more invocation. Raises CannotResumeError after MAX_IDLE of them without progress."""
    begin = before or Checkpoint(paused.position, relays=0)
    moved = paused.position.offset > (before.position.offset if before else 0)
    idle = 0 if moved else begin.idle + 1
    if idle >= MAX_IDLE:
        raise CannotResumeError(
            f"{shown}: {idle} invocations in a row moved nothing past byte {paused.position.offset}"
        )
    so_far = tally.measured()
    return replace(
        begin,
        position=paused.position,
        relays=so_far.relays + 1,
        idle=idle,
        seconds=so_far.seconds,
        counts=so_far.counts,
    )
