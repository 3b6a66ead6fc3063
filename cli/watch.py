"""Follows a job in the table until it has ended.

Knows when an end is an end: the execution has finished and the job's row says so. Refuses to know who looks on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cli.jobs import EXECUTION_ENDS, JobsClient, JobView, Submitted
from sluiceway.errors import JobIsLiveError

LOOK_SECONDS = 0.3
# An execution that was stopped is settled by an event that invokes complete_job; it gets this long after the end.
SETTLE_SECONDS = 120.0
# How JobsClient.execution_end tells of an execution that found its job another's, and of one that was stopped.
REFUSED = f"FAILED: {JobIsLiveError.__name__}"
STOPPED = "ABORTED"


class JobLostError(Exception):
    """The execution has ended and its job has not; the text says what Step Functions knows of it."""


class JobNotBegunError(JobLostError):
    """The execution was stopped before the job had its row: nothing of it was moved, and nothing will be."""


@dataclass(frozen=True, slots=True)
class Watch:
    """`clock` and `sleep` are in seconds. While `busy` says so, an end that is missing may still come."""

    jobs: JobsClient
    look_seconds: float = LOOK_SECONDS
    settle_seconds: float = SETTLE_SECONDS
    busy: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def follow(self, submitted: Submitted) -> Iterator[JobView]:
        """The job as often as it is looked at; the last one has ended. Raises JobLostError, JobNotBegunError if the
        execution was stopped, and JobIsLiveError where it was refused because another one owns a live job of the id."""
        over: float | None = None
        while True:
            finished = self.jobs.execution_status(submitted) in EXECUTION_ENDS
            view = self.jobs.read(submitted.job_id)
            ours = view is not None and view.execution == submitted.execution
            if view is not None and ours:
                yield view
            if finished:
                over = self.clock() if over is None else over
                if view is not None and ours and view.ended:
                    return
                if not ours or (self.clock() - over > self.settle_seconds and not self.busy()):
                    raise self._lost(submitted, view)
            self.sleep(self.look_seconds)

    def is_begun(self, submitted: Submitted, seconds: float) -> bool:
        """Waits until the job has its row; False where it has none after `seconds`. Raises as `follow`."""
        deadline = self.clock() + seconds
        while True:
            # Before the row is read: an execution that has ended by now has written its row, or never will.
            finished = self.jobs.execution_status(submitted) in EXECUTION_ENDS
            view = self.jobs.read(submitted.job_id)
            if view is not None and view.execution == submitted.execution:
                return True
            if finished:
                raise self._lost(submitted, view)
            if self.clock() >= deadline:
                return False
            self.sleep(self.look_seconds)

    def _lost(self, submitted: Submitted, view: JobView | None) -> JobLostError | JobIsLiveError:
        end = self.jobs.execution_end(submitted)
        ours = view is not None and view.execution == submitted.execution
        if view is not None and not ours and end.startswith(REFUSED):
            return JobIsLiveError(
                f"a job {submitted.job_id!r} was live already (now {view.state.value}): this one was not started"
            )
        return JobNotBegunError(end) if end.startswith(STOPPED) and not ours else JobLostError(end)
