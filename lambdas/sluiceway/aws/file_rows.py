"""How the rows of a job's files look: a file's end, the counter of ends, and why a transaction was not written.

Knows what is left out of a row. Refuses to read or write anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from botocore.exceptions import ClientError

from sluiceway.aws.rows import KEEP_SECONDS, Attributes, counter_key, file_key, iso, to_attributes
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState

# What DynamoDB says of an item of a transaction whose condition did not hold.
REFUSED = "ConditionalCheckFailed"
# Worth another attempt: others hold the row, or the table is catching up. Anything else is an error of ours.
_PASSING = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


def end_row(job_id: str, run: int, task: FileTask, result: FileResult, now: float) -> Attributes:
    """`now` is in seconds since 1970."""
    # What is left out is the default on reading; a row under 1 KB costs one write unit.
    plain = FileResult(result.state)
    facts = {
        name: value
        for name in FileResult.__dataclass_fields__
        if (value := getattr(result, name)) != getattr(plain, name)
    }
    row = {
        "run": run,
        "state": result.state,
        "bucket": task.bucket,
        "key": task.key,
        "ended_at": iso(now),
        "result": facts,
        "expires_at": int(now) + KEEP_SECONDS,
    }
    return file_key(job_id, task) | to_attributes(row)


def file_id_of(row: Mapping[str, Any]) -> str:
    return str(row["sk"]).removeprefix("FILE#")


def result_of(row: Mapping[str, Any]) -> FileResult:
    facts = dict(row["result"])
    facts["verified_by"] = tuple(facts.get("verified_by", ()))
    return FileResult(state=FileState(row["state"]), **facts)


def count_update(job_id: str, run: int, shard: int, delta: Counts, now: float) -> dict[str, Any]:
    """The Update that adds `delta` to the counters of a shard, without its table."""
    amounts: dict[str, Any] = asdict(delta)
    values = {f":{name}": amount for name, amount in amounts.items()} | {":expires_at": int(now) + KEEP_SECONDS}
    return {
        "Key": counter_key(job_id, run, shard),
        "UpdateExpression": "SET expires_at = :expires_at ADD " + ", ".join(f"#{name} :{name}" for name in amounts),
        "ExpressionAttributeNames": {f"#{name}": name for name in amounts},
        "ExpressionAttributeValues": to_attributes(values),
    }


def cancellation_codes(error: ClientError) -> list[str]:
    """Why each item of a transaction was not written. Raises `error` itself unless another attempt can help."""
    response: Any = error.response
    reasons = response.get("CancellationReasons")
    if response["Error"]["Code"] != "TransactionCanceledException" or not reasons:
        raise error
    codes = [reason.get("Code", "None") for reason in reasons]
    if not set(codes) <= _PASSING | {"None", REFUSED}:
        raise error
    return codes
