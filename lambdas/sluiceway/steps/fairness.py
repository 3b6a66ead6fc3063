"""Fair to the source: a host that asks for patience gets it from the whole job, and no more files at once than agreed.

Knows two things in the table: until when a host asked to be left alone (on the job's row, read anyway), and the slots
of a host. Refuses to know how a file is moved.
"""

from __future__ import annotations

import random
import threading
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
# For a slot it is looked less and less often: every function of the job may wait for one.
LONGEST_LOOK_SECONDS = 8.0
# After a pause not all functions come back in the same second.
SPREAD = 0.25


class NotNow(SluicewayError):
    """The file's turn does not come within this invocation."""


@dataclass(frozen=True, slots=True)
class _Queue:
    """The files of one host that wait for a slot in this process: who has `first` looks for one, the others wait for
    that file. `freed` tells it that this process has given one back."""

    first: threading.Lock = field(default_factory=threading.Lock)
    freed: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Patience:
    """For one invocation. `asked` is what the job's row says, or this process has heard: host -> seconds since 1970."""

    services: Services
    job_id: str
    limit: int | None
    time_left: TimeLeft
    asked: Mapping[str, float] = field(default_factory=dict[str, float])
    _held: set[Slot] = field(default_factory=set[Slot])
    _queues: dict[str, _Queue] = field(default_factory=dict[str, _Queue])
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
                self._queues[host].freed.set()

    def _wait(self, host: str) -> None:
        spread = 1 + SPREAD * random.random()
        began = time.time()
        while (until := self.asked.get(host, 0.0)) > time.time():
            left = (until - began) * spread - (time.time() - began)
            self._need_time(host)
            time.sleep(min(LOOK_SECONDS, max(left, 0.01)))

    def _slot(self, host: str) -> Slot:
        queue = self._queues.setdefault(host, _Queue())
        while not queue.first.acquire(timeout=LOOK_SECONDS):
            self._need_time(host)
        try:
            return self._free_slot(host, queue.freed)
        finally:
            queue.first.release()

    def _free_slot(self, host: str, freed: threading.Event) -> Slot:
        pause = LOOK_SECONDS
        while True:
            freed.clear()
            slot = self.services.slots.take(self.job_id, host, self.limit or 1, uuid.uuid4().hex)
            if slot is not None:
                self._held.add(slot)
                return slot
            self._look_later(pause * (0.5 + random.random()), host, freed)
            pause = min(2 * pause, LONGEST_LOOK_SECONDS)

    def _look_later(self, seconds: float, host: str, freed: threading.Event) -> None:
        """Other processes give slots back without a word: then they are looked up again."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._need_time(host)
            if freed.wait(min(LOOK_SECONDS, left)):
                return

    def _need_time(self, host: str) -> None:
        """Raises NotNow when this invocation has no time to wait."""
        if self.time_left.is_short():
            raise NotNow(f"host {host} had no turn for this file within the invocation")


def _later(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Of each host the later moment."""
    return {host: max(one.get(host, 0.0), other.get(host, 0.0)) for host in one.keys() | other.keys()}
