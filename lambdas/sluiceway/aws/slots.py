"""At most so many files of a job at once from one host, however many functions work: a slot is a lease in the table.

Knows that a function may die with a slot in its hand, so a lease runs out by itself unless it is renewed; and that all
slots of a job lie in one partition, which takes 1,000 writes and 3,000 reads a second: who waits reads. Costs a file
two writes and a read, and only jobs that ask for the limit pay them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from sluiceway.aws.rows import to_attributes

# A function that died is missed for so long; one that lives renews at a third of it.
LEASE_SECONDS = 60.0
# Of slots that were free when they were looked at: who is overtaken so often had better look again.
TRIES = 3
# What DynamoDB says, after botocore's own tries, where it has no more room for a partition.
THROTTLED = frozenset({"ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"})


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
        """A free slot of the host's `limit`, or None, also where the table is throttled. Slots are tried in random
        order: no two functions race for the same one again and again."""
        with _unless_throttled():
            held = self._held(job_id, host)
            free = [number for number in range(limit) if number not in held]
            for number in random.sample(free, min(len(free), TRIES)):
                slot = Slot(host, number, owner)
                if self._write(job_id, slot, "attribute_not_exists(pk) OR #until < :now OR #owner = :owner"):
                    return slot
        return None

    def renew(self, job_id: str, slot: Slot) -> None:
        """Keeps the slot for another lease, unless it ran out and somebody else has it."""
        with _unless_throttled():
            self._write(job_id, slot, "#owner = :owner")

    def give_back(self, job_id: str, slot: Slot) -> None:
        """Frees the slot if it is still this owner's. Where the table is throttled it runs out by itself."""
        with _unless_throttled():
            self._delete(job_id, slot)

    def _held(self, job_id: str, host: str) -> set[int]:
        """The numbers of the host's slots that somebody has."""
        key, own = f"JOB#{job_id}", _sort_key(host)
        answer = self.client.query(
            TableName=self.name,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :own)",
            FilterExpression="#until >= :now",
            ProjectionExpression="sk",
            ExpressionAttributeNames={"#until": "until"},
            ExpressionAttributeValues=to_attributes({":pk": key, ":own": own, ":now": self.now()}),
            ConsistentRead=True,
        )
        return {int(item["sk"]["S"].removeprefix(own)) for item in answer["Items"]}

    def _delete(self, job_id: str, slot: Slot) -> None:
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
    return to_attributes({"pk": f"JOB#{job_id}", "sk": f"{_sort_key(slot.host)}{slot.number}"})


def _sort_key(host: str) -> str:
    return f"SLOT#{host}#"


@contextmanager
def _unless_throttled() -> Iterator[None]:
    """A table that has no room is no reason for a file to fail: a lease is not had now, or lasts until it runs out."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in THROTTLED:
            raise
