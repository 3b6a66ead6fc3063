"""The file rows of the jobs table: how each file of a job ended, the counters of that, and files in flight.

Knows how an end and its counter are written as one, so that a repeated or stale invocation counts nothing twice.
Refuses to know how a file came to its end.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from sluiceway.aws.file_rows import (
    REFUSED,
    cancellation_codes,
    count_update,
    end_row,
    file_id_of,
    result_of,
)
from sluiceway.aws.rows import (
    PROGRESS_KEEP_SECONDS,
    Attributes,
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
_OVERRULING = frozenset({FileState.STORED, FileState.STAGED})

# What a row of this run must not be yet, for a file to come to its end: for who decides on staged files, and for who
# moves them.
_ENDED = to_attributes({f":{state.value.lower()}": state for state in sorted(FILE_ENDS)})
_MOVED = _ENDED | to_attributes({":staged": FileState.STAGED})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FileTable:
    """`client` is a botocore client for `dynamodb`; `now` gives seconds since 1970, `sleep` takes seconds."""

    client: Any
    name: str
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def end(self, job_id: str, run: int, ended: Sequence[Ended], *, of_staged: bool = False) -> list[Ended]:
        """Records the ends of files, or that they are STAGED, RETRY_LINK or SEND_AGAIN, and counts them; answers with
        those that were new. A file that has an end in this run, or in a newer one, keeps it, unless the new one
        overrules it; one that is STAGED comes to its end by those who say `of_staged`. Raises ContentionError if the
        table stays contested."""
        taken = _ENDED if of_staged else _MOVED
        by_shard = sorted(ended, key=lambda pair: pair[0].shard)
        recorded: list[Ended] = []
        for shard, group in groupby(by_shard, key=lambda pair: pair[0].shard):
            files = list(group)
            for start in range(0, len(files), TRANSACTION_FILES):
                recorded += self._end_shard(job_id, run, shard, files[start : start + TRANSACTION_FILES], taken)
        return recorded + self._overruling(job_id, run, ended, recorded)

    def _overruling(self, job_id: str, run: int, ended: Sequence[Ended], recorded: Sequence[Ended]) -> list[Ended]:
        """Those of the refused ends that took the place of another invocation's."""
        known = {task.file_id for task, _ in recorded}
        refused = [pair for pair in ended if pair[1].state in _OVERRULING and pair[0].file_id not in known]
        if not refused:
            return []
        # Hardly ever: two invocations of one unit at the same moment.
        from sluiceway.aws.overruling import overrule

        return overrule(self, job_id, run, refused)

    def known(self, job_id: str, run: int, tasks: Sequence[FileTask]) -> dict[str, FileResult]:
        """What files have come to in this run, by file id: an end, or that they are STAGED or wait for a fresh link;
        files of which nothing is known are left out."""
        rows = self.read([file_key(job_id, task) for task in tasks])
        return {file_id_of(row): result_of(row) for row in rows if row["run"] == run}

    def staged(self, job_id: str, run: int, tasks: Sequence[FileTask]) -> dict[str, FileResult]:
        """The files that are staged in this run and have no end, by file id."""
        return self._known_as({FileState.STAGED}, job_id, run, tasks)

    def retrying(self, job_id: str, run: int, tasks: Sequence[FileTask]) -> dict[str, FileResult]:
        """The files of this run that wait for a fresh link, by file id, with the error of the last one."""
        return self._known_as({FileState.RETRY_LINK}, job_id, run, tasks)

    def results(self, job_id: str, run: int, tasks: Sequence[FileTask]) -> dict[str, FileResult]:
        """The ends that files have in this run, by file id; files without one are left out."""
        return self._known_as(FILE_ENDS, job_id, run, tasks)

    def _known_as(
        self, states: Set[FileState], job_id: str, run: int, tasks: Sequence[FileTask]
    ) -> dict[str, FileResult]:
        known = self.known(job_id, run, tasks)
        return {file_id: result for file_id, result in known.items() if result.state in states}

    def landed_before(self, job_id: str, run: int, tasks: Sequence[FileTask]) -> dict[str, FileResult]:
        """The results of files that an earlier run of the job landed, by file id."""
        return self._before(LANDED, job_id, run, tasks)

    def ended_before(self, job_id: str, run: int, tasks: Sequence[FileTask]) -> dict[str, FileResult]:
        """The ends that files had in an earlier run of the job, by file id."""
        return self._before(FILE_ENDS, job_id, run, tasks)

    def _before(
        self, states: Set[FileState], job_id: str, run: int, tasks: Sequence[FileTask]
    ) -> dict[str, FileResult]:
        rows = self.read([file_key(job_id, task) for task in tasks]) if run > 1 else ()
        return {
            file_id_of(row): result_of(row) for row in rows if row["run"] < run and FileState(row["state"]) in states
        }

    def counts(self, job_id: str, run: int) -> Counts:
        """The sum of the run's counters: 16 rows, however many files."""
        total = Counts()
        for row in self.read(counter_keys(job_id, run)):
            total += Counts(**{name: row.get(name, 0) for name in Counts.__dataclass_fields__})
        return total

    def set_progress(self, job_id: str, task: FileTask, bytes: int) -> None:
        """Notes how many bytes of a file have moved, for whoever watches."""
        row = to_attributes({**self._in_flight(task), "bytes": bytes})
        self.client.put_item(TableName=self.name, Item=progress_key(job_id, task) | row)

    def add_progress(self, job_id: str, task: FileTask, bytes: int) -> None:
        """As `set_progress`, of a file that several functions move: one of them has moved so many more."""
        row = self._in_flight(task)
        names = (*row, "bytes")
        self.client.update_item(
            TableName=self.name,
            Key=progress_key(job_id, task),
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in row) + " ADD #bytes :bytes",
            ExpressionAttributeNames={f"#{name}": name for name in names},
            ExpressionAttributeValues=to_attributes({f":{name}": {**row, "bytes": bytes}[name] for name in names}),
        )

    def _in_flight(self, task: FileTask) -> dict[str, Any]:
        now = self.now()
        expires = int(now) + PROGRESS_KEEP_SECONDS
        return {"key": task.key, "size": task.size, "updated_at": iso(now), "expires_at": expires}

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

    def write_counted(
        self, what: str, files: Sequence[T], items: Callable[[Sequence[T]], list[dict[str, Any]]]
    ) -> list[T] | None:
        """Writes `files` in one transaction, of which `items` makes one item each and then what goes with them. Those
        that the table refuses are left out; answers with the others. None: what goes with them was refused. Raises
        ContentionError, with `what` in its text."""
        for attempt in range(ATTEMPTS):
            if not files:
                return []
            if attempt:
                self._back_off(attempt)
            try:
                self.client.transact_write_items(TransactItems=items(files))
                return list(files)
            except ClientError as error:
                codes = cancellation_codes(error)
            if REFUSED in codes[len(files) :]:
                return None
            files = [file for file, code in zip(files, codes, strict=False) if code != REFUSED]
        raise ContentionError(f"{what} stayed contested for {ATTEMPTS} attempts")

    def _end_shard(self, job_id: str, run: int, shard: int, files: list[Ended], taken: Attributes) -> list[Ended]:
        def items(files: Sequence[Ended]) -> list[dict[str, Any]]:
            delta = Counts.of(result for _, result in files)
            count = {"TableName": self.name, **count_update(job_id, run, shard, delta, self.now())}
            return [*(self._end_write(job_id, run, *pair, taken) for pair in files), {"Update": count}]

        return self.write_counted(f"job {job_id}: the counters of shard {shard}", files, items) or []

    def _end_write(
        self, job_id: str, run: int, task: FileTask, result: FileResult, taken: Attributes
    ) -> dict[str, Any]:
        fresh = f"attribute_not_exists(pk) OR #run < :run OR (#run = :run AND NOT #state IN ({', '.join(taken)}))"
        return {
            "Put": {
                "TableName": self.name,
                "Item": end_row(job_id, run, task, result, self.now()),
                "ConditionExpression": fresh,
                "ExpressionAttributeNames": {"#run": "run", "#state": "state"},
                "ExpressionAttributeValues": to_attributes({":run": run}) | taken,
            }
        }

    def read(self, keys: Sequence[Attributes]) -> Iterator[dict[str, Any]]:
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
