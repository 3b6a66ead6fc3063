"""The work on one file in a thread of its own, while another looks every few seconds whether the job goes on.

Knows what a look is for: the pleas of sources are passed on, slots are kept, and the invocation's time ends when the
job is stopped. Refuses to know what the work is.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TypeVar

from sluiceway.aws.rows import JobRow
from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.fairness import Patience
from sluiceway.steps.gates import look, patience_of
from sluiceway.wiring import Services

T = TypeVar("T")

LOOK_EVERY_SECONDS = 5.0


@dataclass(slots=True)
class Lookout:
    """For one invocation that works on one file. `job` is the job as it was seen last, `is_stopped` whether even files
    under way must stop."""

    services: Services
    job: JobRow
    time_left: TimeLeft
    patience: Patience = field(init=False)
    is_stopped: bool = False

    def __post_init__(self) -> None:
        self.patience = patience_of(self.services, self.job, self.time_left)

    def run(self, work: Callable[[Patience], T]) -> T:
        """What `work` comes to, or raises. It must heed the time that is left."""
        with ThreadPoolExecutor(1, "file") as pool:
            running = pool.submit(work, self.patience)
            try:
                while not wait([running], timeout=LOOK_EVERY_SECONDS).done:
                    self._look()
            except BaseException:
                self.time_left.end_now()  # or the pool would wait for the work to come to its end
                raise
        self.patience.tell(None)
        return running.result()

    def _look(self) -> None:
        job, stopped = look(self.patience, self.job.execution)
        self.job = job or self.job
        self.is_stopped = self.is_stopped or stopped
