"""The file rows of the jobs table: how each file of a job ended, the counters of that, and files in flight.

Knows how an end and its counter are written as one, so that a repeated or stale invocation counts nothing twice.
Refuses to know how a file came to its end.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from botocore.exceptions import ClientError

from sluiceway.aws.rows import (
    KEEP_SECONDS,
    PROGRESS_KEEP_SECONDS,
    Attributes,
    counter_key,
    counter_keys,
    file_key,
    from_attributes,
    iso,
    progress_key,
    to_attributes,
)
from sluiceway.errors import ContentionError
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FILE_ENDS, FileState

Ended = tuple[FileTask, FileResult]

# TransactWriteItems takes 100 items (API reference of DynamoDB); one of ours is the counter.
TRANSACTION_FILES = 99
# BatchGetItem takes 100 keys (the same reference).
BATCH_KEYS = 100
# Functions that end files of the same shard at the same moment collide on its counter; botocore does not retry
# that, so this module does. Full jitter up to 3.2 s.
ATTEMPTS = 12
BACKOFF_SECONDS = (0.05, 3.2)

LANDED = frozenset({FileState.STORED, FileState.SKIPPED})

# What a row of this run must not be yet, for a file to become STAGED or to come to its end.
_BEFORE_END = {f":{state.value.lower()}": state for state in sorted(FILE_ENDS)}
_BEFORE_STAGED = {**_BEFORE_END, ":staged": FileState.STAGED}


@dataclass(frozen=True, slots=True)
class FileTable:
    """`client` is a botocore client for `dynamodb`; `now` gives seconds since 1970, `sleep` takes seconds."""

    client: Any
    name: str
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def end(self, job_id: str, run: int, ended: Sequence[Ended]) -> list[Ended]:
        """Records the ends of files, or that they are STAGED or RETRY_LINK, and counts them; answers with those that
        were new. A file that has an end in this run, or in a newer one, keeps it. Raises ContentionError if the table
        stays contested."""
        by_shard = sorted(ended, key=lambda pair: pair[0].shard)
        recorded: list[Ended] = []
        for shard, group in groupby(by_shard, key=lambda pair: pair[0].shard):
            files = list(group)
            for start in range(0, len(files), TRANSACTION_FILES):
                recorded += self._end_shard(job_id, run, shard, files[start : start + TRANSACTION_FILES])
        return recorded

    def staged(self, job_id: str, run: int, tasks: Sequence[FileTask]) -> dict[str, FileResult]:
        """The files that are staged in this run and have no end, by file id."""
        return self._in_state(FileState.STAGED, job_id, run, tasks)

    def retrying(self, job_id: str, run: int, tasks: Sequence[FileTask]) -> dict[str, FileResult]:
        """The files of this run that wait for a fresh link, by file id, with the error of the last one."""
        return self._in_state(FileState.RETRY_LINK, job_id, run, tasks)

    def _in_state(self, state: FileState, job_id: str, run: int, tasks: Sequence[FileTask]) -> dict[str, FileResult]:
        rows = self._read([file_key(job_id, task) for task in tasks])
        return {_file_id(row): _result(row) for row in rows if row["run"] == run and row["state"] == state}

    def results(self, job_id: str, run: int, tasks: Sequence[FileTask]) -> dict[str, FileResult]:
        """The ends that files have in this run, by file id; files without one are left out."""
        found: dict[str, FileResult] = {}
        for row in self._read([file_key(job_id, task) for task in tasks]):
            if row["run"] == run and FileState(row["state"]) in FILE_ENDS:
                found[_file_id(row)] = _result(row)
        return found

    def landed_before(self, job_id: str, run: int, tasks: Sequence[FileTask]) -> dict[str, FileResult]:
        """The results of files that an earlier run of the job landed, by file id."""
        return self._before(LANDED, job_id, run, tasks)

    def ended_before(self, job_id: str, run: int, tasks: Sequence[FileTask]) -> dict[str, FileResult]:
        """The ends that files had in an earlier run of the job, by file id."""
        return self._before(FILE_ENDS, job_id, run, tasks)

    def _before(
        self, states: Set[FileState], job_id: str, run: int, tasks: Sequence[FileTask]
    ) -> dict[str, FileResult]:
        rows = self._read([file_key(job_id, task) for task in tasks]) if run > 1 else ()
        return {_file_id(row): _result(row) for row in rows if row["run"] < run and FileState(row["state"]) in states}

    def counts(self, job_id: str, run: int) -> Counts:
        """The sum of the run's counters: 16 rows, however many files."""
        total = Counts()
        for row in self._read(counter_keys(job_id, run)):
            total += Counts(**{name: row[name] for name in Counts.__dataclass_fields__})
        return total

    def set_progress(self, job_id: str, task: FileTask, bytes: int) -> None:
        """Notes how many bytes of a file have moved, for whoever watches."""
        row = {
            "key": task.key,
            "bytes": bytes,
            "size": task.size,
            "updated_at": iso(self.now()),
            "expires_at": int(self.now()) + PROGRESS_KEEP_SECONDS,
        }
        self.client.put_item(TableName=self.name, Item=progress_key(job_id, task) | to_attributes(row))

    def remove_progress(self, job_id: str, task: FileTask) -> None:
        self.client.delete_item(TableName=self.name, Key=progress_key(job_id, task))

    def progress(self, job_id: str) -> list[dict[str, Any]]:
        """The files in flight that have taken long enough to have a row: `key`, `bytes`, `size`, `updated_at`."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :progress)",
            ExpressionAttributeValues=to_attributes({":pk": f"JOB#{job_id}", ":progress": "PROGRESS#"}),
        )
        return [from_attributes(item) for page in pages for item in page["Items"]]

    def _end_shard(self, job_id: str, run: int, shard: int, files: list[Ended]) -> list[Ended]:
        for attempt in range(ATTEMPTS):
            if not files:
                return []
            if attempt:
                self._back_off(attempt)
            writes = [self._end_write(job_id, run, *pair) for pair in files]
            delta = Counts.of(result for _, result in files)
            try:
                self.client.transact_write_items(TransactItems=[*writes, self._count(job_id, run, shard, delta)])
                return files
            except ClientError as error:
                codes = _cancellation_codes(error)
                files = [pair for pair, code in zip(files, codes, strict=False) if code != "ConditionalCheckFailed"]
        raise ContentionError(f"job {job_id}: the counters of shard {shard} stayed contested for {ATTEMPTS} attempts")

    def _end_write(self, job_id: str, run: int, task: FileTask, result: FileResult) -> dict[str, Any]:
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
            "ended_at": iso(self.now()),
            "result": facts,
            "expires_at": int(self.now()) + KEEP_SECONDS,
        }
        taken = _BEFORE_STAGED if result.state is FileState.STAGED else _BEFORE_END
        fresh = f"attribute_not_exists(pk) OR #run < :run OR (#run = :run AND NOT #state IN ({', '.join(taken)}))"
        return {
            "Put": {
                "TableName": self.name,
                "Item": file_key(job_id, task) | to_attributes(row),
                "ConditionExpression": fresh,
                "ExpressionAttributeNames": {"#run": "run", "#state": "state"},
                "ExpressionAttributeValues": to_attributes({":run": run, **taken}),
            }
        }

    def _count(self, job_id: str, run: int, shard: int, delta: Counts) -> dict[str, Any]:
        amounts: dict[str, Any] = asdict(delta)
        names = {f"#{name}": name for name in amounts}
        return {
            "Update": {
                "TableName": self.name,
                "Key": counter_key(job_id, run, shard),
                "UpdateExpression": "SET expires_at = :expires_at ADD "
                + ", ".join(f"#{name} :{name}" for name in amounts),
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": to_attributes(
                    {f":{name}": amount for name, amount in amounts.items()}
                    | {":expires_at": int(self.now()) + KEEP_SECONDS}
                ),
            }
        }

    def _read(self, keys: Sequence[Attributes]) -> Iterator[dict[str, Any]]:
        for start in range(0, len(keys), BATCH_KEYS):
            asked: Any = {self.name: {"Keys": keys[start : start + BATCH_KEYS], "ConsistentRead": True}}
            for attempt in range(ATTEMPTS):
                if attempt:
                    self._back_off(attempt)
                answer = self.client.batch_get_item(RequestItems=asked)
                yield from map(from_attributes, answer["Responses"].get(self.name, []))
                asked = answer.get("UnprocessedKeys")
                if not asked:
                    break
            else:
                raise ContentionError(f"table {self.name} left keys unread {ATTEMPTS} times")

    def _back_off(self, attempt: int) -> None:
        first, most = BACKOFF_SECONDS
        self.sleep(random.uniform(0, min(most, first * 2**attempt)))


def _file_id(row: Mapping[str, Any]) -> str:
    return str(row["sk"]).removeprefix("FILE#")


def _result(row: dict[str, Any]) -> FileResult:
    facts = dict(row["result"])
    facts["verified_by"] = tuple(facts.get("verified_by", ()))
    return FileResult(state=FileState(row["state"]), **facts)


# Worth another attempt: others hold the row, or the table is catching up. Anything else is an error of ours.
_PASSING = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


def _cancellation_codes(error: ClientError) -> list[str]:
    """Why each item of a transaction was not written. Raises `error` itself unless another attempt can help."""
    response: Any = error.response
    reasons = response.get("CancellationReasons")
    if response["Error"]["Code"] != "TransactionCanceledException" or not reasons:
        raise error
    codes = [reason.get("Code", "None") for reason in reasons]
    if not set(codes) <= _PASSING | {"None", "ConditionalCheckFailed"}:
        raise error
    return codes
