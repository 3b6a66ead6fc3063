"""The end of a file that takes the place of another one in the same run of its job.

Lambda may invoke a function twice at the same moment. Both move the file, and the one that fails, or finds itself
overtaken, may be the first to say so. Knows the fence: once CompleteJob has begun to count ends, or an all-or-nothing
job is decided, a file's end stays as it is, so that the counters are what the report lists. Refuses to know which end
is the better one: jobs/files.py does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, Protocol, TypeVar

from sluiceway.aws.file_rows import count_update, end_row, file_id_of, result_of
from sluiceway.aws.rows import Attributes, file_key, job_key, to_attributes
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState, JobState

_logger = logging.getLogger(__name__)
# TransactWriteItems takes 100 items (API reference of DynamoDB); ours are the counter and the job besides.
TRANSACTION_FILES = 98

Ended = tuple[FileTask, FileResult]
# An end, and the row whose place it takes.
Overruling = tuple[Ended, dict[str, Any]]
T = TypeVar("T")


class Table(Protocol):
    """What is needed of the FileTable, whose ends these are."""

    @property
    def name(self) -> str: ...

    @property
    def now(self) -> Callable[[], float]: ...

    def read(self, keys: Sequence[Attributes], /) -> Iterator[dict[str, Any]]: ...

    def write_counted(
        self, what: str, files: Sequence[T], items: Callable[[Sequence[T]], list[dict[str, Any]]], /
    ) -> list[T] | None: ...


def overrule(table: Table, job_id: str, run: int, refused: Sequence[Ended]) -> list[Ended]:
    """Writes those of `refused`, ends that `table` did not take because the files have one already, that overrule it;
    each with what that does to the counters. Answers with what was written. A file whose job counts its files, or has
    ended, keeps its end, and the log says so. Raises ContentionError."""
    rows = {file_id_of(row): row for row in table.read([file_key(job_id, task) for task, _ in refused])}
    found: list[Overruling] = []
    for task, result in refused:
        row = rows.get(task.file_id)
        # A row that is STAGED, or of another run, has no end that could be overruled.
        if row is None or row["run"] != run or not result.overrules(result_of(row)):
            continue
        found.append(((task, result.in_place_of(result_of(row))), row))
    written: list[Ended] = []
    for shard, group in groupby(sorted(found, key=_shard), key=_shard):
        files = list(group)
        for start in range(0, len(files), TRANSACTION_FILES):
            written += _overrule_shard(table, job_id, run, shard, files[start : start + TRANSACTION_FILES])
    return written


def _shard(pair: Overruling) -> int:
    return pair[0][0].shard


def _overrule_shard(table: Table, job_id: str, run: int, shard: int, files: list[Overruling]) -> list[Ended]:
    def items(files: Sequence[Overruling]) -> list[dict[str, Any]]:
        delta = Counts.of(result for (_, result), _ in files) - Counts.of(result_of(row) for _, row in files)
        staging = any(result.state is FileState.STAGED for (_, result), _ in files)
        work: list[tuple[str, dict[str, Any]]] = [
            *(("Put", _put(job_id, run, *pair, table.now())) for pair in files),
            ("Update", count_update(job_id, run, shard, delta, table.now())),
            ("ConditionCheck", _still_open(job_id, run, staging)),
        ]
        return [{kind: {"TableName": table.name, **item}} for kind, item in work]

    written = table.write_counted(f"job {job_id}: the ends of shard {shard}", files, items)
    if written is None:
        for (task, result), _ in files:
            _logger.warning(
                "job %s: s3://%s/%s is %s now, but the job had been counted or decided before: its end stays %s",
                job_id, task.bucket, task.key, result.state.value, result.overruled,
            )  # fmt: skip
    return [ended for ended, _ in written or ()]


def _put(job_id: str, run: int, ended: Ended, row: dict[str, Any], now: float) -> dict[str, Any]:
    """Over the row as it was read: a third invocation may have been faster."""
    names = ("run", "state", "ended_at")
    return {
        "Item": end_row(job_id, run, *ended, now),
        "ConditionExpression": " AND ".join(f"#{name} = :{name}" for name in names),
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": to_attributes({f":{name}": row[name] for name in names}),
    }


def _still_open(job_id: str, run: int, staging: bool) -> dict[str, Any]:
    """Holds while the job's run goes on and nobody counts its ends; for staged files, while nobody has decided whether
    they become visible."""
    moving = {":transferring": JobState.TRANSFERRING, ":exporting": JobState.EXPORTING}
    undone = ("counting", "decision") if staging else ("counting",)
    conditions = [
        "#run = :run",
        f"#state IN ({', '.join(moving)})",
        *(f"attribute_not_exists(#{each})" for each in undone),
    ]
    return {
        "Key": job_key(job_id),
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": {f"#{name}": name for name in ("run", "state", *undone)},
        "ExpressionAttributeValues": to_attributes({":run": run, **moving}),
    }
