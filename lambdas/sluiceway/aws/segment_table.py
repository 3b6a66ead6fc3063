"""The rows of a split file's segments: what each of them gave and took, until the file is finished.

Knows that a segment moved twice gives the same row, that a row tells what was taken even where nothing was given, and
that an older upload of the file has rows of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from sluiceway.aws.rows import PROGRESS_KEEP_SECONDS, from_attributes, segment_key, to_attributes
from sluiceway.jobs.files import FileTask
from sluiceway.transfer.segments import SegmentSum

# A job's deadline is a week at most in practice; the rows are of no use after it.
KEEP_SECONDS = 14 * 24 * PROGRESS_KEEP_SECONDS
# The name of the row that tells what beginning the split took; a segment's is its number.
BEGUN = "begun"


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment of the upload that `attempt` names. `total` is None where it has not been moved whole; `measured` is
    what it took so far, as landing/tally.py has it."""

    attempt: str
    total: SegmentSum | None
    measured: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SegmentTable:
    """`client` is a botocore client for `dynamodb`."""

    client: Any
    name: str
    now: Callable[[], float] = time.time

    def put(
        self,
        job_id: str,
        run: int,
        task: FileTask,
        attempt: str,
        n: int | None,
        total: SegmentSum | None,
        measured: Mapping[str, Any],
    ) -> None:
        """Records segment `n` of the upload that `attempt` names, or with None that it was begun. Of a segment that is
        invoked again the last counts; but once it has been moved, no invocation that did not move it."""
        row: dict[str, Any] = {"run": run, "measured": measured, "expires_at": int(self.now()) + KEEP_SECONDS}
        condition = {"ConditionExpression": "attribute_not_exists(crcs)"}
        if total is not None:
            row |= {"bytes": total.bytes, "crcs": {name: f"{value:x}" for name, value in total.crcs.items()}}
            condition = {}
        key = segment_key(job_id, task, attempt, BEGUN if n is None else f"{n:04}")
        try:
            self.client.put_item(TableName=self.name, Item=key | to_attributes(row), **condition)
        except ClientError as error:
            response: Any = error.response
            if response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise

    def rows(self, job_id: str, run: int, task: FileTask) -> list[SegmentRow]:
        """What is recorded of the file in this run, of every upload of it, each in the order of its segments."""
        first = from_attributes(segment_key(job_id, task, "", ""))
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues=to_attributes(
                {":pk": first["pk"], ":prefix": str(first["sk"]).removesuffix("#")}
            ),
            ConsistentRead=True,
        )
        rows = [from_attributes(item) for page in pages for item in page["Items"]]
        # A row without a run was written before rows told it, of an upload that has long ended.
        return [_row(row) for row in rows if row.get("run") == run]


def _row(row: Mapping[str, Any]) -> SegmentRow:
    crcs = row.get("crcs")
    total = SegmentSum(row["bytes"], {name: int(value, 16) for name, value in crcs.items()}) if crcs else None
    return SegmentRow(str(row["sk"]).split("#")[2], total, row["measured"])
