"""A file that outlasts an invocation, or two: what the next one makes of where the last one stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sluiceway.jobs.states import FileState
from tests.faults.harness import BIG, KEY, PART
from tests.faults.relayed import world
from tests.faults.source import Step, serve
from tests.faults.steps import chunked, part_of_unknown
from tests.faults.store import Store


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
