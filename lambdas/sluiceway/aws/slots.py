"""At most so many files of a job at once from one host, however many functions work: a slot is a lease in the table.

Knows that a function may die with a slot in its hand, so a lease runs out by itself unless it is renewed. Costs two
writes a file, and only jobs that ask for the limit pay them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sluiceway.aws.rows import to_attributes

# A function that died is missed for so long; one that lives renews at a third of it.
LEASE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Slot:
    host: str
    number: int
    owner: str


@dataclass(frozen=True, slots=True)
class SlotTable:
    """`client` is a botocore client for `dynamodb`; `now` gives seconds since 1970."""

    client: Any
    name: str
    now: Callable[[], float] = time.time

    def take(self, job_id: str, host: str, limit: int, owner: str) -> Slot | None:
        """A free slot of the host's `limit`, or None. Slots are tried in random order: no two functions race for the
        same one again and again."""
        for number in random.sample(range(limit), limit):
            slot = Slot(host, number, owner)
            if self._write(job_id, slot, "attribute_not_exists(pk) OR #until < :now OR #owner = :owner"):
                return slot
        return None

    def renew(self, job_id: str, slot: Slot) -> bool:
        """Keeps the slot for another lease; False where it ran out and somebody else has it."""
        return self._write(job_id, slot, "#owner = :owner")

    def give_back(self, job_id: str, slot: Slot) -> None:
        """Frees the slot if it is still this owner's."""
        try:
            self.client.delete_item(
                TableName=self.name,
                Key=_key(job_id, slot),
                ConditionExpression="#owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues=to_attributes({":owner": slot.owner}),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return  # it ran out, and is another's

    def _write(self, job_id: str, slot: Slot, condition: str) -> bool:
        now = self.now()
        values: dict[str, Any] = {":owner": slot.owner, ":until": now + LEASE_SECONDS, ":expires": int(now) + 3600}
        if ":now" in condition:
            values[":now"] = now
        try:
            self.client.update_item(
                TableName=self.name,
                Key=_key(job_id, slot),
                UpdateExpression="SET #owner = :owner, #until = :until, expires_at = :expires",
                ConditionExpression=condition,
                ExpressionAttributeNames={"#owner": "owner", "#until": "until"},
                ExpressionAttributeValues=to_attributes(values),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _key(job_id: str, slot: Slot) -> Any:
    return to_attributes({"pk": f"JOB#{job_id}", "sk": f"SLOT#{slot.host}#{slot.number}"})
