"""What is measured of one file, over every attempt at it and every invocation, whatever its end.

Knows the sums, and how they are carried and put on a result. Refuses to know how bytes move.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from sluiceway.jobs.files import FileResult
from sluiceway.landing.memory import recent_peak_memory_bytes
from sluiceway.source.client import Client
from sluiceway.transfer.checkpoint import Checkpoint
from sluiceway.transfer.pipeline import Waits


@dataclass(slots=True)
class Tally:
    """Filled while a file is worked on, by the one thread that works on it. `seconds` and `counts` are as a checkpoint
    has them, of the invocations before; `retries`, to which any thread appends, are how often S3's requests were sent
    again."""

    seconds: dict[str, float] = field(default_factory=dict[str, float])
    counts: dict[str, int] = field(default_factory=dict[str, int])
    relays: int = 0
    retries: list[int] = field(default_factory=list[int])
    _began: float | None = None
    _client: Client | None = None
    _pool_waits: int = 0

    @classmethod
    def of(cls, checkpoint: Checkpoint | None) -> Tally:
        """The sums of the invocations before, to go on from."""
        if checkpoint is None:
            return cls()
        return cls(dict(checkpoint.seconds), dict(checkpoint.counts), checkpoint.relays)

    def begin(self, client: Client) -> None:
        """From here on this thread works on the file, with `client`. Begun once, it stays so."""
        if self._client is None:
            self._began, self._client, self._pool_waits = time.perf_counter(), client, client.pool_waits

    def resumed(self) -> None:
        """One more request to the source, after the first."""
        self._count("source_resumes", 1)

    @contextmanager
    def waiting_for_source(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._wait("source", time.perf_counter() - began)

    def add(self, waits: Waits) -> None:
        """The waits of a transfer that has ended, in whatever way."""
        self._wait("source", waits.source)
        self._wait("sink", waits.sink)
        self._wait("hash", waits.hash)

    def sums(self) -> tuple[dict[str, float], dict[str, int]]:
        """All seconds and all counts so far, as a checkpoint carries them."""
        seconds, counts = dict(self.seconds), dict(self.counts)
        if self._client is not None and self._began is not None:
            seconds["total"] = seconds.get("total", 0.0) + time.perf_counter() - self._began
            counts["pool_waits"] = counts.get("pool_waits", 0) + self._client.pool_waits - self._pool_waits
        counts["part_retries"] = counts.get("part_retries", 0) + sum(self.retries)
        return seconds, counts

    def on(self, result: FileResult) -> FileResult:
        """`result`, with everything measured."""
        seconds, counts = self.sums()
        return replace(
            result,
            seconds=seconds.get("total", 0.0),
            source_wait_seconds=seconds.get("source", 0.0),
            sink_wait_seconds=seconds.get("sink", 0.0),
            hash_seconds=seconds.get("hash", 0.0),
            pool_waits=counts.get("pool_waits", 0),
            part_retries=counts.get("part_retries", 0),
            source_resumes=counts.get("source_resumes", 0),
            peak_memory_bytes=recent_peak_memory_bytes(),
            relays=self.relays,
        )

    def _wait(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def _count(self, name: str, number: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + number
