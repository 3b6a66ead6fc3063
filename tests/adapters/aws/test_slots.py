"""Slots of a host: a lease in the table, and what it costs to wait for one."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sluiceway.aws.slots import LEASE_SECONDS, THROTTLED, Slot, SlotTable
from tests.support.deployment import Deployment


class Counted:
    """What the client is asked, by operation; with a `code` each is refused."""

    def __init__(self, client: Any) -> None:
        self._client, self.asked, self.code = client, Counter[str](), ""
        self.exceptions = client.exceptions

    def __getattr__(self, operation: str) -> Any:
        def ask(**arguments: Any) -> Any:
            self.asked[operation] += 1
            if self.code:
                raise ClientError({"Error": {"Code": self.code}}, operation)
            return getattr(self._client, operation)(**arguments)

        return ask


@pytest.fixture
def client(deployment: Deployment) -> Counted:
    return Counted(deployment.client("dynamodb"))


@pytest.fixture
def slots(deployment: Deployment, client: Counted) -> SlotTable:
    return SlotTable(client, deployment.table)


def take(slots: SlotTable, owner: str, limit: int = 3, host: str = "h") -> Slot | None:
    return slots.take("j", host, limit, owner)


def test_each_slot_has_one_owner_until_it_is_given_back(slots: SlotTable) -> None:
    held = [take(slots, f"o{n}") for n in range(3)]
    assert sorted(slot.number for slot in held if slot) == [0, 1, 2]
    assert take(slots, "late") is None
    assert take(slots, "elsewhere", host="h2") is not None

    assert held[1] is not None
    slots.give_back("j", held[1])
    assert take(slots, "late") == Slot("h", held[1].number, "late")


def test_who_finds_no_slot_has_read_once_and_written_nothing(slots: SlotTable, client: Counted) -> None:
    for n in range(3):
        take(slots, f"o{n}")
    client.asked.clear()
    for _ in range(5):
        assert take(slots, "late") is None
    assert client.asked == {"query": 5}


def test_the_one_that_is_free_is_taken_in_one_write(slots: SlotTable, client: Counted) -> None:
    for n in range(9):
        take(slots, f"o{n}", limit=10)
    client.asked.clear()
    assert take(slots, "late", limit=10) is not None
    assert client.asked == {"query": 1, "update_item": 1}


def test_a_slot_whose_owner_died_runs_out_and_one_that_is_renewed_does_not(
    deployment: Deployment, client: Counted
) -> None:
    now = time.time()
    early, late = (SlotTable(client, deployment.table, lambda at=at: at) for at in (now, now + LEASE_SECONDS + 1))
    kept, lost = take(early, "kept", limit=2), take(early, "lost", limit=2)
    assert kept is not None and lost is not None
    SlotTable(client, deployment.table, lambda: now + LEASE_SECONDS / 2).renew("j", kept)

    assert take(late, "next", limit=2) == Slot("h", lost.number, "next")
    late.renew("j", lost)
    late.give_back("j", lost)
    assert take(late, "another", limit=2) is None


@pytest.mark.parametrize("code", sorted(THROTTLED))
def test_a_table_without_room_has_no_slot_and_breaks_nothing(slots: SlotTable, client: Counted, code: str) -> None:
    slot = take(slots, "o")
    assert slot is not None
    client.code = code
    assert take(slots, "late") is None
    slots.renew("j", slot)
    slots.give_back("j", slot)


def test_any_other_refusal_is_told(slots: SlotTable, client: Counted) -> None:
    client.code = "AccessDeniedException"
    with pytest.raises(ClientError):
        take(slots, "o")
