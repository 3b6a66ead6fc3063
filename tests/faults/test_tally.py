"""What was measured stays with the file: over invocations and new beginnings, and whatever its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

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
from tests.faults.harness import BIG, KEY, OTHER, PART, s3_of
from tests.faults.source import Source, Step, cut, serve
from tests.faults.steps import answer
from tests.faults.store import BUCKET, Fault, Store
from tests.faults.store_rows import BROKEN, NEVER, SLOW_DOWN, another_lands

EARLY = 1_000_000


@dataclass
class World:
    """One file, its source and its store; `invoke` works on it until the time is up, or the file is done."""

    source: Source
    client: Client
    store: Store
    s3: Any

    def invoke(self, carry: dict[str, Any] | None = None, *, until: int | None = None, **options: Any) -> FileResult:
        """Its result, PENDING when it was stopped at `until` bytes: then `carried` is the checkpoint."""
        checkpoint = Checkpoint.from_dict(carry) if carry else None
        tally, time_left = Tally.of(checkpoint), TimeLeft(float("inf"))

        def on_progress(count: int) -> None:
            if until is not None and count >= until:
                time_left.end_now()

        tools = Tools(self.client, self.s3, on_progress=on_progress, time_left=time_left, tally=tally)
        task = FileTask(self.source.url(), BUCKET, KEY)
        self.carried: dict[str, Any] | None = None
        try:
            ended = land_or_pause(task, Options(part_bytes=PART, **options), tools, checkpoint)
        except SluicewayError as error:
            return tally.on(FileResult.of_error(error))
        if isinstance(ended, Checkpoint):
            self.carried = ended.to_dict()
            return tally.on(FileResult(FileState.PENDING))
        return ended


@pytest.fixture
def store(landed: Path) -> Iterator[Store]:
    with Store(landed) as store:
        yield store


@contextmanager
def world(store: Store, *steps: Step) -> Iterator[World]:
    with Source(list(steps)) as source:
        client = Client(UrlPolicy([source.host]), budget=RetryBudget(sleep=lambda seconds: None))
        yield World(source, client, store, s3_of(store))
        client.close()


def test_a_file_that_is_begun_anew_keeps_what_the_invocation_before_took(store: Store) -> None:
    with world(store, cut(BIG, EARLY), serve(BIG), serve(OTHER)) as file:
        store.faults.append(Fault("part-1", SLOW_DOWN))
        file.invoke(until=PART + 1)
        assert file.carried is not None and file.carried["counts"]["source_resumes"] == 1
        first = file.carried["seconds"]
        # The file has changed: the second invocation begins it anew, with a request of its own and one more.
        result = file.invoke(file.carried)
        assert len(file.source.requests) == 4
    assert store.object(KEY) == OTHER.body
    assert (result.state, result.relays) == (FileState.STORED, 1)
    assert (result.source_resumes, result.part_retries) == (2, 1)
    assert result.seconds > first["total"] > 0 and result.source_wait_seconds > first["source"] > 0
    assert result.sink_wait_seconds > first["sink"] and result.hash_seconds > first["hash"] > 0


def test_a_file_that_fails_in_the_end_keeps_what_the_invocation_before_took(store: Store) -> None:
    with world(store, cut(BIG, EARLY), serve(BIG), answer(503), answer(503), answer(404)) as file:
        file.invoke(until=PART + 1)
        assert file.carried is not None
        first = file.carried["seconds"]
        result = file.invoke(file.carried)
    assert (result.state, result.error_type, result.relays) == (FileState.FAILED, "SourceStatusError", 1)
    assert result.source_resumes == 3
    assert result.seconds > first["total"] and result.source_wait_seconds > first["source"]
    assert result.hash_seconds >= first["hash"] > 0 and result.peak_memory_bytes > 0


def test_a_file_overtaken_by_another_keeps_what_it_took(store: Store) -> None:
    with world(store, cut(BIG, EARLY), serve(BIG)) as file:
        store.faults += [Fault("part-1", BROKEN, 2), *another_lands("complete")(store)]
        result = file.invoke(**NEVER)
    assert (result.state, result.source_resumes, result.part_retries) == (FileState.SKIPPED, 1, 2)
    assert min(result.source_wait_seconds, result.sink_wait_seconds, result.hash_seconds) > 0
