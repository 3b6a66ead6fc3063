"""When an invocation must stop, and what is carried to the next.

Knows the remaining time and the checkpoint's sums. Refuses to know how bytes move.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from sluiceway.errors import CannotResumeError
from sluiceway.jobs.files import FileResult
from sluiceway.transfer.checkpoint import Checkpoint
from sluiceway.transfer.pipeline import Paused, Waits

Number = TypeVar("Number", int, float)

# What is kept back from the time left: to send the parts in flight, write the table and return.
RESERVE_SHARE = 0.2
MAX_RESERVE_SECONDS = 90.0
# Two invocations in a row that moved nothing will not be followed by a third.
MAX_IDLE = 2


@dataclass(slots=True)
class TimeLeft:
    """The end of this invocation on the monotonic clock, its reserve already taken off. Shared by the threads of an
    invocation; `end_now` ends it for all of them, as when the job is cancelled."""

    stop_at: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, remaining_ms: int, *, clock: Callable[[], float] = time.monotonic) -> TimeLeft:
        """From Lambda's remaining milliseconds at the start of the invocation."""
        seconds = remaining_ms / 1000
        return cls(clock() + seconds - min(MAX_RESERVE_SECONDS, seconds * RESERVE_SHARE), clock)

    def is_short(self) -> bool:
        return self.clock() >= self.stop_at

    def end_now(self) -> None:
        self.stop_at = 0.0


def next_checkpoint(
    before: Checkpoint | None, paused: Paused, seconds: float, measured: Mapping[str, int], shown: str
) -> Checkpoint:
    """The checkpoint after one more invocation. Raises CannotResumeError after MAX_IDLE of them without progress."""
    begin = before or Checkpoint(paused.position, relays=0)
    moved = paused.position.offset > (before.position.offset if before else 0)
    idle = 0 if moved else begin.idle + 1
    if idle >= MAX_IDLE:
        raise CannotResumeError(
            f"{shown}: {idle} invocations in a row moved nothing past byte {paused.position.offset}"
        )
    return replace(
        begin,
        position=paused.position,
        relays=begin.relays + 1,
        idle=idle,
        seconds=_added(begin.seconds, {"total": seconds, **_seconds(paused.waits)}),
        counts=_added(begin.counts, measured),
    )


def with_sums(result: FileResult, checkpoint: Checkpoint) -> FileResult:
    """The result of the last invocation with the measurements of all before it."""
    seconds, counts = checkpoint.seconds, checkpoint.counts
    return replace(
        result,
        seconds=result.seconds + seconds.get("total", 0.0),
        source_wait_seconds=result.source_wait_seconds + seconds.get("source", 0.0),
        sink_wait_seconds=result.sink_wait_seconds + seconds.get("sink", 0.0),
        hash_seconds=result.hash_seconds + seconds.get("hash", 0.0),
        pool_waits=result.pool_waits + counts.get("pool_waits", 0),
        part_retries=result.part_retries + counts.get("part_retries", 0),
        source_resumes=result.source_resumes + counts.get("source_resumes", 0),
        relays=checkpoint.relays,
    )


def _seconds(waits: Waits) -> dict[str, float]:
    return {"source": waits.source, "sink": waits.sink, "hash": waits.hash}


def _added(sums: Mapping[str, Number], more: Mapping[str, Number]) -> dict[str, Number]:
    return {name: sums.get(name, 0) + more.get(name, 0) for name in {**sums, **more}}
