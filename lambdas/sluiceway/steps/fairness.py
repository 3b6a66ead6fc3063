"""Fair to the source: a host that asks for patience gets it from the whole job, and no more files at once than agreed.

Knows two things in the table: until when a host asked to be left alone (on the job's row, read anyway), and the slots
of a host. Refuses to know how a file is moved.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sluiceway.aws.rows import JobRow
from sluiceway.aws.slots import LEASE_SECONDS, Slot
from sluiceway.errors import SluicewayError
from sluiceway.jobs.files import FileTask
from sluiceway.landing.relaying import TimeLeft
from sluiceway.wiring import Services

# How long a look at the table is good for while a file waits for its turn.
LOOK_SECONDS = 1.0
# After a pause not all functions come back in the same second.
SPREAD = 0.25


class NotNow(SluicewayError):
    """The file's turn does not come within this invocation."""


@dataclass(slots=True)
class Patience:
    """For one invocation. `asked` is what the job's row says, or this process has heard: host -> seconds since 1970."""

    services: Services
    job_id: str
    limit: int | None
    time_left: TimeLeft
    asked: Mapping[str, float] = field(default_factory=dict[str, float])
    _held: set[Slot] = field(default_factory=set[Slot])
    _renewed_at: float = field(default_factory=time.monotonic)

    def tell(self, job: JobRow | None) -> None:
        """Takes in what sources have asked others for, passes on what they asked this function for where that is more,
        and keeps slots."""
        if time.monotonic() - self._renewed_at > LEASE_SECONDS / 3:
            self._renewed_at = time.monotonic()
            for slot in list(self._held):
                self.services.slots.renew(self.job_id, slot)
        known = _later(self.asked, (job.patience or {}) if job is not None else {})
        # What this process has heard, perhaps while it worked for another job, and long ago.
        heard = {
            host: until for host, until in self.services.source.asked_to_wait.copy().items() if until > time.time()
        }
        self.asked = _later(known, heard)
        for host in heard:
            if self.asked[host] > known.get(host, 0.0):
                self.services.jobs.ask_patience(self.job_id, host, self.asked[host])

    @contextmanager
    def turn(self, task: FileTask) -> Iterator[None]:
        """Waits until the file's host may be asked, and holds one of its slots. Raises NotNow when time runs out."""
        host = urlsplit(task.url).hostname or ""
        self._wait(host)
        slot = self._slot(host) if self.limit else None
        try:
            yield
        finally:
            if slot is not None:
                self._held.discard(slot)
                self.services.slots.give_back(self.job_id, slot)

    def _wait(self, host: str) -> None:
        spread = 1 + SPREAD * random.random()
        began = time.time()
        while (until := self.asked.get(host, 0.0)) > time.time():
            left = (until - began) * spread - (time.time() - began)
            self._sleep(min(LOOK_SECONDS, max(left, 0.01)), host)

    def _slot(self, host: str) -> Slot:
        while True:
            slot = self.services.slots.take(self.job_id, host, self.limit or 1, uuid.uuid4().hex)
            if slot is not None:
                self._held.add(slot)
                return slot
            self._sleep(LOOK_SECONDS * (0.5 + random.random()), host)

    def _sleep(self, seconds: float, host: str) -> None:
        """Other processes give slots back and patience ends with the clock: neither calls anybody, both are looked up
        again. Raises NotNow instead when this invocation has no time for it."""
        if self.time_left.is_short():
            raise NotNow(f"host {host} had no turn for this file within the invocation")
        time.sleep(seconds)


def _later(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Of each host the later moment."""
    return {host: max(one.get(host, 0.0), other.get(host, 0.0)) for host in one.keys() | other.keys()}
