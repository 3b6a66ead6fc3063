"""The rows of a split file's segments: what each of them gave, until the file is finished.

Knows that a segment moved twice gives the same row, and that rows of an older upload of the file are not of this one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sluiceway.aws.rows import PROGRESS_KEEP_SECONDS, from_attributes, segment_key, to_attributes
from sluiceway.jobs.files import FileTask
from sluiceway.transfer.segments import SegmentSum

# A job's deadline is a week at most in practice; the rows are of no use after it.
KEEP_SECONDS = 14 * 24 * PROGRESS_KEEP_SECONDS


@dataclass(frozen=True, slots=True)
class SegmentTable:
    """`client` is a botocore client for `dynamodb`."""

    client: Any
    name: str
    now: Callable[[], float] = time.time

    def put(
        self, job_id: str, task: FileTask, n: int, upload_id: str, total: SegmentSum, measured: Mapping[str, float]
    ) -> None:
        """Records segment `n` of the file's upload."""
        row = {
            "upload_id": upload_id,
            "bytes": total.bytes,
            "crcs": {name: f"{value:x}" for name, value in total.crcs.items()},
            "measured": dict(measured),
            "expires_at": int(self.now()) + KEEP_SECONDS,
        }
        self.client.put_item(TableName=self.name, Item=segment_key(job_id, task, n) | to_attributes(row))

    def sums(self, job_id: str, task: FileTask, upload_id: str) -> list[tuple[SegmentSum, Mapping[str, float]]]:
        """The segments recorded for this upload, in order, with their measurements."""
        first = from_attributes(segment_key(job_id, task, 0))
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues=to_attributes(
                {":pk": first["pk"], ":prefix": str(first["sk"]).removesuffix("0000")}
            ),
            ConsistentRead=True,
        )
        rows = [from_attributes(item) for page in pages for item in page["Items"]]
        return [
            (SegmentSum(row["bytes"], {name: int(value, 16) for name, value in row["crcs"].items()}), row["measured"])
            for row in rows
            if row["upload_id"] == upload_id
        ]
