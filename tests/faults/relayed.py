"""One file that is worked on by one invocation after another: its source, its store, and what is carried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sluiceway.errors import SluicewayError
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState
from sluiceway.landing.land import land_or_pause
from sluiceway.landing.options import Options, Tools
from sluiceway.landing.relaying import TimeLeft
from sluiceway.landing.tally import Tally
from sluiceway.source.client import Client
from sluiceway.source.policy import UrlPolicy
from sluiceway.source.retry import RetryBudget
from sluiceway.transfer.checkpoint import Checkpoint
from tests.faults.harness import KEY, PART, s3_of
from tests.faults.source import Source, Step
from tests.faults.store import BUCKET, Store

Until = int | Callable[[int], bool] | None


@dataclass
class World:
    """One file, its source and its store; `invoke` works on it until the time is up, or the file is done."""

    source: Source
    client: Client
    store: Store
    s3: Any
    sleeps: list[float]

    def invoke(
        self,
        carry: dict[str, Any] | None = None,
        *,
        until: Until = None,
        time_left: TimeLeft | None = None,
        digests: Mapping[str, str] | None = None,
        **options: Any,
    ) -> FileResult:
        """Its result, RETRY_LINK when it was stopped: at `until` bytes, or where `until` says so, or because there was
        no `time_left`. Then `carried` is the checkpoint."""
        checkpoint = Checkpoint.from_dict(carry) if carry else None
        tally, time_left = Tally.of(checkpoint), time_left or TimeLeft(float("inf"))

        def on_progress(count: int) -> None:
            if until is not None and (until(count) if callable(until) else count >= until):
                time_left.end_now()

        tools = Tools(self.client, self.s3, on_progress=on_progress, time_left=time_left, tally=tally)
        task = FileTask(self.source.url(), BUCKET, KEY, digests=digests or {})
        self.carried: dict[str, Any] | None = None
        try:
            ended = land_or_pause(task, Options(part_bytes=PART, **options), tools, checkpoint)
        except SluicewayError as error:
            return tally.on(FileResult.of_error(error))
        if isinstance(ended, Checkpoint):
            self.carried = ended.to_dict()
            return tally.on(FileResult(FileState.RETRY_LINK))
        return ended


@contextmanager
def world(store: Store, *steps: Step) -> Iterator[World]:
    with Source(list(steps)) as source:
        sleeps: list[float] = []
        client = Client(UrlPolicy([source.host]), budget=RetryBudget(sleep=sleeps.append))
        yield World(source, client, store, s3_of(store), sleeps)
        client.close()
