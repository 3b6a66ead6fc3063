"""How files ended: once, in one run, with their counter."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sluiceway.aws.file_table import ATTEMPTS, TRANSACTION_FILES, FileTable
from sluiceway.errors import ContentionError
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState
from tests.support.deployment import Deployment

STORED = FileResult(FileState.STORED, 10, {"sha256": "ab"}, '"etag"', 1, ("caller:sha256",), seconds=0.25)
FAILED = FileResult(FileState.FAILED, error_type="SourceStatusError", error_message="status 404")


def tasks(count: int) -> list[FileTask]:
    return [FileTask(f"https://h/{n}", "landing", f"k{n}", n=n) for n in range(count)]


@pytest.fixture
def files(deployment: Deployment) -> FileTable:
    return deployment.files


def test_ends_are_read_back_as_they_were_written(files: FileTable) -> None:
    first, second, third = tasks(3)
    assert files.end("j", 1, [(first, STORED), (second, FAILED)]) == sorted(
        [(first, STORED), (second, FAILED)], key=lambda pair: pair[0].shard
    )
    assert files.results("j", 1, [first, second, third]) == {first.file_id: STORED, second.file_id: FAILED}
    assert files.counts("j", 1) == Counts(stored=1, failed=1, bytes=10)


def test_an_end_written_twice_counts_once_and_stays(files: FileTable) -> None:
    (task,) = tasks(1)
    files.end("j", 1, [(task, STORED)])
    assert files.end("j", 1, [(task, FAILED)]) == []
    assert files.results("j", 1, [task]) == {task.file_id: STORED}
    assert files.counts("j", 1) == Counts(stored=1, bytes=10)


def test_only_the_new_ends_of_a_batch_count(files: FileTable) -> None:
    listed = tasks(120)
    files.end("j", 1, [(task, STORED) for task in listed[:40]])
    recorded = files.end("j", 1, [(task, FAILED) for task in listed])
    assert {task.key for task, _ in recorded} == {task.key for task in listed[40:]}
    assert files.counts("j", 1) == Counts(stored=40, failed=80, bytes=400)
    assert len(files.results("j", 1, listed)) == 120


def test_a_shard_may_end_more_files_than_a_transaction_takes(files: FileTable) -> None:
    listed = [task for task in tasks(2500) if task.shard == 7][: TRANSACTION_FILES + 5]
    assert len(listed) == TRANSACTION_FILES + 5
    assert len(files.end("j", 1, [(task, STORED) for task in listed])) == len(listed)
    assert files.counts("j", 1) == Counts(stored=len(listed), bytes=10 * len(listed))


def test_a_new_run_begins_from_nothing(files: FileTable) -> None:
    (task,) = tasks(1)
    files.end("j", 1, [(task, FAILED)])
    assert files.results("j", 2, [task]) == {}
    assert files.counts("j", 2) == Counts()
    assert len(files.end("j", 2, [(task, STORED)])) == 1
    assert files.counts("j", 1) == Counts(failed=1)


def test_an_older_run_changes_nothing_of_a_newer_one(files: FileTable) -> None:
    (task,) = tasks(1)
    files.end("j", 2, [(task, STORED)])
    assert files.end("j", 1, [(task, FAILED)]) == []
    assert files.results("j", 2, [task]) == {task.file_id: STORED}
    assert files.counts("j", 1) == Counts()


def test_jobs_do_not_share_ends(files: FileTable) -> None:
    (task,) = tasks(1)
    files.end("j", 1, [(task, STORED)])
    assert files.results("other", 1, [task]) == {}
    assert files.counts("other", 1) == Counts()


class OneAtATime:
    """DynamoDB's transactions are atomic; moto's are only while nothing else is called."""

    def __init__(self, client: Any) -> None:
        self._client, self._lock = client, threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, **arguments: Any) -> Any:
        with self._lock:
            return self._client.transact_write_items(**arguments)


def test_counters_hold_against_many_writers_at_once(files: FileTable) -> None:
    listed = tasks(24)
    shared = FileTable(OneAtATime(files.client), files.name)
    with ThreadPoolExecutor(8) as pool:
        recorded = list(pool.map(lambda task: shared.end("j", 1, [(task, STORED)]), listed + listed))
    assert sum(map(len, recorded)) == 24
    assert files.counts("j", 1) == Counts(stored=24, bytes=240)


class Contested:
    """Refuses as DynamoDB does while others hold the row, for as many calls as it is told."""

    def __init__(self, client: Any, refusals: int, refuse: Callable[[], ClientError]) -> None:
        self._client, self.refusals, self._refuse = client, refusals, refuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, **arguments: Any) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise self._refuse()
        return self._client.transact_write_items(**arguments)


def cancelled(*codes: str) -> ClientError:
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    return ClientError(response, "TransactWriteItems")


def test_a_contested_counter_is_tried_again(files: FileTable) -> None:
    slept: list[float] = []
    (task,) = tasks(1)
    client = Contested(files.client, 3, lambda: cancelled("None", "TransactionConflict"))
    contested = FileTable(client, files.name, sleep=slept.append)

    assert len(contested.end("j", 1, [(task, STORED)])) == 1
    assert len(slept) == 3
    assert files.counts("j", 1) == Counts(stored=1, bytes=10)


def test_a_counter_contested_for_good_is_an_error(files: FileTable) -> None:
    client = Contested(files.client, ATTEMPTS, lambda: cancelled("None", "TransactionConflict"))
    with pytest.raises(ContentionError):
        FileTable(client, files.name, sleep=lambda _: None).end("j", 1, [(tasks(1)[0], STORED)])
    assert files.counts("j", 1) == Counts()


@pytest.mark.parametrize("codes", [("ValidationError", "None"), ()])
def test_another_refusal_is_not_tried_again(files: FileTable, codes: tuple[str, ...]) -> None:
    client = Contested(files.client, 2, lambda: cancelled(*codes))
    with pytest.raises(ClientError):
        FileTable(client, files.name, sleep=lambda _: None).end("j", 1, [(tasks(1)[0], STORED)])
    assert client.refusals == 1


class Throttled:
    """Leaves keys of a batch unread, as a busy table does."""

    def __init__(self, client: Any, times: int) -> None:
        self._client, self._times = client, times

    def batch_get_item(self, RequestItems: Any) -> Any:
        if self._times:
            self._times -= 1
            return {"Responses": {}, "UnprocessedKeys": RequestItems}
        return self._client.batch_get_item(RequestItems=RequestItems)


@pytest.mark.parametrize(("times", "found"), [(0, 1), (3, 1)])
def test_keys_left_unread_are_asked_for_again(files: FileTable, times: int, found: int) -> None:
    (task,) = tasks(1)
    files.end("j", 1, [(task, STORED)])
    slow = FileTable(Throttled(files.client, times), files.name, sleep=lambda _: None)
    assert len(slow.results("j", 1, [task])) == found


def test_keys_never_read_are_an_error(files: FileTable) -> None:
    slow = FileTable(Throttled(files.client, 99), files.name, sleep=lambda _: None)
    with pytest.raises(ContentionError):
        slow.results("j", 1, tasks(1))


def test_progress_is_shown_and_removed(files: FileTable) -> None:
    first, second = tasks(2)
    files.set_progress("j", first, 5)
    files.set_progress("j", second, 6)
    files.set_progress("j", first, 7)
    assert {row["key"]: row["bytes"] for row in files.progress("j")} == {"k0": 7, "k1": 6}
    files.remove_progress("j", first)
    assert [row["key"] for row in files.progress("j")] == ["k1"]


def test_progress_of_several_functions_adds_up(files: FileTable) -> None:
    (task,) = tasks(1)
    for moved in (5, 0, 7):
        files.add_progress("j", task, moved)
    (row,) = files.progress("j")
    assert (row["key"], row["size"], row["bytes"]) == ("k0", task.size, 12)
    assert row["expires_at"] > 0
