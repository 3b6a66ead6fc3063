"""The callback rows of the jobs table: who waits for which call, and which call has come.

Knows that the call and the waiting workflow may come in either order: each leaves its mark in one atomic write and
sees, in the answer, whether the other's is there. So exactly one of them finds both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sluiceway.aws.rows import Attributes, JobRow, from_attributes, iso, to_attributes
from sluiceway.errors import CallbackRejectedError

# Longer than the longest wait for a call: seven days.
KEEP_SECONDS = 8 * 24 * 3600


@dataclass(frozen=True, slots=True)
class CallbackTable:
    """`client` is a botocore client for `dynamodb`; `now` gives seconds since 1970."""

    client: Any
    name: str
    now: Callable[[], float] = time.time

    def create(self, callback_id: str, job: JobRow, config: Mapping[str, Any]) -> None:
        facts = {"job_id": job.job_id, "execution": job.execution, "run": job.run, "config": dict(config),
                 "expires_at": int(self.now()) + KEEP_SECONDS}  # fmt: skip
        self.client.put_item(TableName=self.name, Item=_key(callback_id) | to_attributes(facts))

    def find(self, callback_id: str) -> dict[str, Any] | None:
        answer = self.client.get_item(TableName=self.name, Key=_key(callback_id), ConsistentRead=True)
        return from_attributes(answer["Item"]) if "Item" in answer else None

    def is_heard(self, callback_id: str) -> bool:
        return "heard_at" in (self.find(callback_id) or {})

    def store_token(self, callback_id: str, token: str) -> bool:
        """Tells whether the call has come already."""
        row = self._update(
            callback_id, "SET #name = :value", {"#name": "token"}, {":value": token}, "attribute_exists(pk)"
        )
        return "heard_at" in row

    def hear(self, callback_id: str) -> str | None:
        """Marks the call as come; answers with the token that waits for it, None if nobody waits yet. Raises
        CallbackRejectedError for a call that came before."""
        stamp = iso(self.now())
        try:
            row = self._update(
                callback_id,
                "SET #name = :value",
                {"#name": "heard_at"},
                {":value": stamp},
                "attribute_exists(pk) AND attribute_not_exists(#name)",
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            raise CallbackRejectedError("the call was made before") from None
        return row.get("token")

    def note_rejected(self, callback_id: str, why: str) -> None:
        """Counts a call that was refused, for whoever asks why the job waited so long."""
        self._update(
            callback_id, "SET #name = :value ADD rejected :one", {"#name": "last_rejected"}, {":value": why, ":one": 1},
            "attribute_exists(pk)",
        )  # fmt: skip

    def _update(
        self, callback_id: str, expression: str, names: dict[str, str], values: dict[str, Any], condition: str
    ) -> dict[str, Any]:
        answer = self.client.update_item(
            TableName=self.name,
            Key=_key(callback_id),
            UpdateExpression=expression,
            ConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=to_attributes(values),
            ReturnValues="ALL_NEW",
        )
        return from_attributes(answer["Attributes"])


def _key(callback_id: str) -> Attributes:
    return to_attributes({"pk": f"CALLBACK#{callback_id}", "sk": "CALLBACK"})
