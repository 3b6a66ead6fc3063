"""What was measured stays with the file: over invocations and new beginnings, and whatever its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluiceway.jobs.states import FileState
from tests.faults.harness import BIG, KEY, OTHER, PART
from tests.faults.relayed import world
from tests.faults.source import cut, serve
from tests.faults.steps import answer
from tests.faults.store import Fault, Store, after
from tests.faults.store_rows import BROKEN, NEVER, SLOW_DOWN, another_lands

EARLY = 1_000_000
# Far longer than everything else that a file waits for here.
LATE_SECONDS = 0.5


@pytest.fixture
def store(landed: Path) -> Iterator[Store]:
    with Store(landed) as store:
        yield store


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


@pytest.mark.parametrize("operation", ["head", "list-parts", "tag", "abort"])
def test_whatever_is_asked_of_s3_is_waiting_for_it(store: Store, operation: str) -> None:
    store.faults.append(Fault(operation, after(lambda: time.sleep(LATE_SECONDS))))
    with world(store, serve(BIG), serve(BIG)) as file:
        stated = {"sha256": "0" * 64} if operation == "abort" else {}
        file.invoke(digests=stated, until=PART + 1, **NEVER)
        result = file.invoke(file.carried, digests=stated, **NEVER)
    assert result.state is (FileState.REJECTED if operation == "abort" else FileState.STORED)
    assert operation in store.calls
    assert result.sink_wait_seconds >= LATE_SECONDS


def test_a_file_overtaken_by_another_keeps_what_it_took(store: Store) -> None:
    with world(store, cut(BIG, EARLY), serve(BIG)) as file:
        store.faults += [Fault("part-1", BROKEN, 2), *another_lands("complete")(store)]
        result = file.invoke(**NEVER)
    assert (result.state, result.source_resumes, result.part_retries) == (FileState.SKIPPED, 1, 2)
    assert min(result.source_wait_seconds, result.sink_wait_seconds, result.hash_seconds) > 0
