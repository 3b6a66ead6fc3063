"""A file that outlasts an invocation, or two: what the next one makes of where the last one stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sluiceway.jobs.states import FileState
from tests.faults.harness import BIG, KEY, PART
from tests.faults.relayed import world
from tests.faults.source import File, Step, serve
from tests.faults.steps import chunked, part_of_unknown
from tests.faults.store import Fault, Store, unfinished
from tests.faults.store_rows import CONFLICT, NEVER


@pytest.fixture
def store(landed: Path) -> Iterator[Store]:
    with Store(landed) as store:
        yield store


@pytest.mark.parametrize("rest", [serve(BIG), part_of_unknown(BIG, PART)], ids=["its total told", "no total told"])
def test_a_body_of_unknown_length_is_resumed_to_its_end(store: Store, rest: Step) -> None:
    with world(store, chunked(BIG.body), rest) as file:
        file.invoke(until=PART + 1)
        assert file.carried is not None and file.carried["length"] is None
        result = file.invoke(file.carried)
        assert all("range" in request for request in file.source.requests[1:])
    assert (result.state, result.relays) == (FileState.STORED, 1)
    assert store.object(KEY) == BIG.body


def test_a_file_that_changes_in_every_invocation_is_begun_anew_three_times_in_all(store: Store) -> None:
    versions = [File(BIG.body, f'"v{n}"') for n in range(5)]
    # The rest of the version before, asked for under If-Range, is the whole of the next one; then it is asked for anew.
    steps = [serve(version) for version in versions for _ in range(2)][1:]
    with world(store, *steps) as file:
        results = [file.invoke(until=PART + 1)]
        while file.carried is not None:
            results.append(file.invoke(file.carried, until=PART + 1))
        asked = [request.get("range") for request in file.source.requests]
    assert [result.state for result in results] == [FileState.PENDING] * 4 + [FileState.FAILED]
    assert (results[-1].error_type, results[-1].relays) == ("SourceRestartError", 4)
    assert asked.count(None) == 4
    assert unfinished(file.s3) == []


def test_what_s3_wants_sent_again_is_sent_again_once_in_all_invocations(store: Store) -> None:
    with world(store, serve(BIG)) as file:
        store.faults.append(Fault("complete", CONFLICT, 2))
        file.invoke(until=PART + 1, **NEVER)
        file.invoke(file.carried, until=lambda count: "complete" in store.calls and count > PART, **NEVER)
        assert file.carried is not None and file.carried["offset"] < 2 * PART
        result = file.invoke(file.carried, **NEVER)
    assert (result.state, result.error_type) == (FileState.FAILED, "SendAgainError")
    assert unfinished(file.s3) == []
