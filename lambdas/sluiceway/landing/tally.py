"""What is measured of one file, over every attempt at it and every invocation, whatever its end.

Knows the sums, how they are carried, added up and put on a result. Refuses to know how bytes move.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from sluiceway.jobs.files import FileResult
from sluiceway.landing.memory import recent_peak_memory_bytes
from sluiceway.source.client import Client
from sluiceway.transfer.checkpoint import Checkpoint
from sluiceway.transfer.pipeline import Waits

T = TypeVar("T")

# Among the counts the one that is no sum: the most memory that any process held in an invocation that worked on the
# file, with whatever else it worked on in it.
PEAK = "peak_memory_bytes"


@dataclass(frozen=True, slots=True)
class Measured:
    """What some of the work on a file took: `seconds` and `counts` by their names, as a checkpoint has them, and how
    many `relays` there were. JSON-ready by `to_dict`. Added up, they are of all that work."""

    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    relays: int = 0

    def __add__(self, other: Measured) -> Measured:
        seconds, counts = dict(self.seconds), dict(self.counts)
        for name, value in other.seconds.items():
            seconds[name] = seconds.get(name, 0.0) + value
        for name, number in other.counts.items():
            mine = counts.get(name, 0)
            counts[name] = max(mine, number) if name == PEAK else mine + number
        return Measured(seconds, counts, self.relays + other.relays)

    def on(self, result: FileResult) -> FileResult:
        """`result`, with everything measured."""
        seconds, counts = self.seconds, self.counts
        return replace(
            result,
            seconds=seconds.get("total", 0.0),
            source_wait_seconds=seconds.get("source", 0.0),
            sink_wait_seconds=seconds.get("sink", 0.0),
            hash_seconds=seconds.get("hash", 0.0),
            pool_waits=counts.get("pool_waits", 0),
            part_retries=counts.get("part_retries", 0),
            source_resumes=counts.get("source_resumes", 0),
            peak_memory_bytes=counts.get(PEAK, 0),
            relays=self.relays,
        )

    @classmethod
    def of(cls, result: FileResult) -> Measured:
        """What `on` has put on a result."""
        seconds = {
            "total": result.seconds,
            "source": result.source_wait_seconds,
            "sink": result.sink_wait_seconds,
            "hash": result.hash_seconds,
        }
        counts = {name: getattr(result, name) for name in ("pool_waits", "part_retries", "source_resumes", PEAK)}
        return cls(seconds, counts, result.relays)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "seconds": {name: round(value, 6) for name, value in self.seconds.items()}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Measured:
        return cls(**data)


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
    def of(cls, before: Checkpoint | Measured | None) -> Tally:
        """The sums of the work before, to go on from."""
        if before is None:
            return cls()
        return cls(dict(before.seconds), dict(before.counts), before.relays)

    def begin(self, client: Client) -> None:
        """From here on this thread works on the file, with `client`. Begun once, it stays so."""
        if self._client is None:
            self._began, self._client, self._pool_waits = time.perf_counter(), client, client.pool_waits

    def resumed(self) -> None:
        """One more request to the source, after the first."""
        self._count("source_resumes", 1)

    def waiting_for_source(self) -> AbstractContextManager[None]:
        return self._waiting("source")

    def waiting_for_sink(self) -> AbstractContextManager[None]:
        return self._waiting("sink")

    @contextmanager
    def leaving(self, upload: AbstractContextManager[T]) -> Iterator[T]:
        """As `with upload`; what it does at its end, as to abort, is waiting for the sink."""
        entered = upload.__enter__()
        try:
            yield entered
        except BaseException as error:
            with self.waiting_for_sink():
                upload.__exit__(type(error), error, error.__traceback__)
            raise
        with self.waiting_for_sink():
            upload.__exit__(None, None, None)

    def add(self, waits: Waits) -> None:
        """The waits of a transfer that has ended, in whatever way."""
        self._wait("source", waits.source)
        self._wait("sink", waits.sink)
        self._wait("hash", waits.hash)

    def measured(self) -> Measured:
        """All of it so far."""
        seconds, counts = dict(self.seconds), dict(self.counts)
        if self._client is not None and self._began is not None:
            seconds["total"] = seconds.get("total", 0.0) + time.perf_counter() - self._began
            counts["pool_waits"] = counts.get("pool_waits", 0) + self._client.pool_waits - self._pool_waits
        counts["part_retries"] = counts.get("part_retries", 0) + sum(self.retries)
        counts[PEAK] = max(counts.get(PEAK, 0), recent_peak_memory_bytes())
        return Measured(seconds, counts, self.relays)

    def on(self, result: FileResult) -> FileResult:
        """`result`, with everything measured."""
        return self.measured().on(result)

    @contextmanager
    def _waiting(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._wait(name, time.perf_counter() - began)

    def _wait(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def _count(self, name: str, number: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + number
