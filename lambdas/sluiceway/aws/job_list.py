"""The jobs of a deployment, the newest first.

Knows the rows that list them by time, so that nothing is scanned. Refuses to keep anything of a job there: its own
row says how it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sluiceway.aws.rows import LISTED, JobRow, from_attributes, job_key, to_attributes

# BatchGetItem takes 100 keys (API reference of DynamoDB).
BATCH_KEYS = 100


def recent_jobs(client: Any, table: str) -> Iterator[JobRow]:
    """Each job once, in the order of their last runs. `client` is a botocore client for `dynamodb`."""
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :listed",
        ExpressionAttributeValues=to_attributes({":listed": LISTED}),
        ScanIndexForward=False,
        PaginationConfig={"PageSize": BATCH_KEYS},
    )
    for page in pages:
        listed = [from_attributes(item) for item in page["Items"]]
        rows = _rows(client, table, {row["job_id"] for row in listed})
        for row in listed:
            job = rows.get(row["job_id"])
            # Of a job that ran more than once only the last run has a row of its own.
            if job is not None and row["sk"] == f"{job.created_at}#{job.job_id}":
                yield job


def _rows(client: Any, table: str, job_ids: set[str]) -> dict[str, JobRow]:
    found: dict[str, JobRow] = {}
    asked = {table: {"Keys": [job_key(job_id) for job_id in sorted(job_ids)]}} if job_ids else {}
    while asked:
        answer = client.batch_get_item(RequestItems=asked)
        for attributes in answer["Responses"].get(table, []):
            job = JobRow.from_attributes(attributes)
            found[job.job_id] = job
        asked = answer.get("UnprocessedKeys") or {}
    return found
