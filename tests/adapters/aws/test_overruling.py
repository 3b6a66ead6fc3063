"""An end that takes the place of another in the same run, with its counters, while nobody has acted upon them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sluiceway.aws.file_table import FileTable
from sluiceway.aws.overruling import TRANSACTION_FILES
from sluiceway.aws.rows import JobRow
from sluiceway.aws.table import ATTEMPTS, JobTable
from sluiceway.errors import NotOwnerError
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState, JobState
from tests.support.deployment import Deployment

STORED = FileResult(FileState.STORED, 10, {"sha256": "ab"}, '"etag"', 1, reason="not split: it is small")
STAGED = FileResult(FileState.STAGED, 10, staged={"upload_id": "u"})
FAILED = FileResult(FileState.FAILED, error_type="SourceStatusError", error_message="status 403")
REJECTED = FileResult(FileState.REJECTED, 10, error_type="DigestMismatchError", error_message="sha256 differs")
OVERTAKEN = FileResult(FileState.SKIPPED, reason="it was landed by another attempt meanwhile")
SEEN = FileResult(FileState.SKIPPED, etag=STORED.etag, reason="it exists and if_exists is never")
THERE_BEFORE = FileResult(FileState.SKIPPED, etag='"older"', reason="the source is unchanged")
CANCELLED = FileResult(FileState.CANCELLED, reason="the job was cancelled")


def tasks(count: int) -> list[FileTask]:
    return [FileTask(f"https://h/{n}", "landing", f"k{n}", n=n) for n in range(count)]


@pytest.fixture
def files(deployment: Deployment) -> FileTable:
    return deployment.files


@pytest.fixture
def job(deployment: Deployment) -> JobRow:
    facts: Any = {"document_key": "jobs/j/job.json", "destination": {"prefix": ""}, "limits": {}}
    return deployment.jobs.change_state(deployment.jobs.take("j", "arn:first", **facts), JobState.TRANSFERRING)


@pytest.mark.parametrize("first", [FAILED, REJECTED, OVERTAKEN, SEEN], ids=lambda each: each.reason or each.state)
def test_a_stored_object_overrules_an_end_without_one(files: FileTable, job: JobRow, first: FileResult) -> None:
    (task,) = tasks(1)
    files.end("j", 1, [(task, first)])

    ((_, written),) = files.end("j", 1, [(task, STORED)])

    assert replace(written, overruled=None, reason=STORED.reason) == STORED
    assert written.overruled == first.state and str(written.reason).startswith(f"{STORED.reason}; took the place of")
    assert files.results("j", 1, [task]) == {task.file_id: written}
    assert files.counts("j", 1) == Counts(stored=1, bytes=10)
    assert files.end("j", 1, [(task, STORED)]) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (STORED, STORED), (STORED, FAILED), (STORED, STAGED), (FAILED, REJECTED), (FAILED, SEEN),
        (THERE_BEFORE, STORED), (SEEN, STAGED), (CANCELLED, STORED), (STAGED, STAGED), (STAGED, FAILED), (STAGED, SEEN),
        (STAGED, FileResult(FileState.RETRY_LINK)),
    ],
    ids=lambda each: each.state,
)  # fmt: skip
def test_every_other_end_stays(files: FileTable, job: JobRow, first: FileResult, second: FileResult) -> None:
    (task,) = tasks(1)
    files.end("j", 1, [(task, first)])
    before = files.counts("j", 1)
    assert files.end("j", 1, [(task, second)]) == []
    found = files.results("j", 1, [task]) | files.staged("j", 1, [task])
    assert found == {task.file_id: first}
    assert files.counts("j", 1) == before == Counts.of([first])


def test_whoever_decides_on_staged_files_ends_them(files: FileTable, job: JobRow) -> None:
    (task,) = tasks(1)
    files.end("j", 1, [(task, STAGED)])
    assert files.end("j", 1, [(task, CANCELLED)], of_staged=True) == [(task, CANCELLED)]
    assert files.counts("j", 1) == Counts(staged=1, cancelled=1)


def test_the_files_of_a_batch_are_overruled_with_their_counters(files: FileTable, job: JobRow) -> None:
    listed = [task for task in tasks(2500) if task.shard == 7][: TRANSACTION_FILES + 5] + tasks(10)
    firsts = [(FAILED, REJECTED, OVERTAKEN, STORED)[n % 4] for n in range(len(listed))]
    files.end("j", 1, list(zip(listed, firsts, strict=True)))

    written = files.end("j", 1, [(task, STORED) for task in listed])

    assert len(written) == sum(first is not STORED for first in firsts)
    assert {result.state for result in files.results("j", 1, listed).values()} == {FileState.STORED}
    assert files.counts("j", 1) == Counts(stored=len(listed), bytes=10 * len(listed))


Fate = Callable[[Deployment, JobRow], object]
FATES: dict[str, Fate] = {
    "counting": lambda deployment, job: deployment.jobs.begin_counting(job),
    "ended": lambda deployment, job: deployment.jobs.change_state(job, JobState.FAILED),
    "another run": lambda deployment, job: deployment.jobs.resume(
        deployment.jobs.change_state(job, JobState.FAILED), redrives=1
    ),
}


@pytest.mark.parametrize("fate", FATES.values(), ids=FATES)
def test_what_was_counted_stays(
    deployment: Deployment, files: FileTable, job: JobRow, fate: Fate, caplog: pytest.LogCaptureFixture
) -> None:
    (task,) = tasks(1)
    files.end("j", 1, [(task, FAILED)])
    fate(deployment, job)

    assert files.end("j", 1, [(task, STORED)]) == []

    assert files.results("j", 1, [task]) == {task.file_id: FAILED}
    assert files.counts("j", 1) == Counts(failed=1)
    assert "s3://landing/k0 is STORED now" in caplog.text and "its end stays FAILED" in caplog.text


def test_a_run_begun_since_has_ends_of_its_own(deployment: Deployment, files: FileTable, job: JobRow) -> None:
    (task,) = tasks(1)
    files.end("j", 1, [(task, FAILED)])
    deployment.jobs.resume(deployment.jobs.change_state(job, JobState.FAILED), redrives=1)
    files.end("j", 2, [(task, FAILED)])
    assert files.end("j", 1, [(task, STORED)]) == []
    assert (files.counts("j", 1), files.counts("j", 2)) == (Counts(failed=1), Counts(failed=1))
    assert len(files.end("j", 2, [(task, STORED)])) == 1
    assert (files.counts("j", 1), files.counts("j", 2)) == (Counts(failed=1), Counts(stored=1, bytes=10))


def test_staging_overrules_until_the_job_is_decided(deployment: Deployment, files: FileTable, job: JobRow) -> None:
    first, second = tasks(2)
    files.end("j", 1, [(first, FAILED), (second, FAILED)])
    assert len(files.end("j", 1, [(first, STAGED)])) == 1
    deployment.jobs.decide(job, "commit")
    assert files.end("j", 1, [(second, STAGED)]) == []
    assert files.counts("j", 1) == Counts(failed=1, staged=1)
    # What CommitFiles completes is stored, though another of its invocations could not say so.
    files.end("j", 1, [(first, FAILED)], of_staged=True)
    files.end("j", 1, [(first, STORED)], of_staged=True)
    assert files.counts("j", 1) == Counts(failed=1, staged=1, stored=1, bytes=10)


class Overtaken:
    """Another invocation writes the same end between this one's look at the row and its transaction."""

    def __init__(self, client: Any, overtake: Callable[[], object]) -> None:
        self._client, self._overtake = client, overtake

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def batch_get_item(self, **arguments: Any) -> Any:
        answer = self._client.batch_get_item(**arguments)
        self._overtake()
        return answer


def test_a_third_invocation_may_be_faster(files: FileTable, job: JobRow) -> None:
    (task,) = tasks(1)
    files.end("j", 1, [(task, FAILED)])
    client = Overtaken(files.client, lambda: files.end("j", 1, [(task, STORED)]))
    assert FileTable(client, files.name).end("j", 1, [(task, STORED)]) == []
    assert files.counts("j", 1) == Counts(stored=1, bytes=10)


def test_the_first_decision_stands(deployment: Deployment, job: JobRow) -> None:
    assert deployment.jobs.decide(job, "commit").decision == "commit"
    assert deployment.jobs.decide(job, "abort").decision == "commit"
    deployment.jobs.change_state(job, JobState.FAILED)
    with pytest.raises(NotOwnerError):
        deployment.jobs.decide(job, "abort")


class Conflicting:
    """Refuses a write of the job's row as DynamoDB does while a transaction looks at it."""

    def __init__(self, client: Any, refusals: int) -> None:
        self._client, self.refusals = client, refusals
        self.exceptions = client.exceptions

    def update_item(self, **arguments: Any) -> Any:
        if self.refusals:
            self.refusals -= 1
            response: Any = {"Error": {"Code": "TransactionConflictException", "Message": "ongoing"}}
            raise self.exceptions.TransactionConflictException(response, "UpdateItem")
        return self._client.update_item(**arguments)


def test_a_job_row_that_a_transaction_looks_at_is_written_after_it(deployment: Deployment, job: JobRow) -> None:
    slept: list[float] = []
    table = JobTable(Conflicting(deployment.jobs.client, 3), deployment.jobs.name, sleep=slept.append)
    assert table.begin_counting(job).counting
    assert len(slept) == 3
    with pytest.raises(ClientError):
        JobTable(Conflicting(deployment.jobs.client, ATTEMPTS), table.name, sleep=slept.append).decide(job, "commit")


def test_counting_is_noted_once(deployment: Deployment, job: JobRow) -> None:
    counting = deployment.jobs.begin_counting(job)
    assert (deployment.jobs.get("j"), counting.counting) == (counting, True)
    refusing = JobTable(Conflicting(deployment.jobs.client, ATTEMPTS), deployment.jobs.name, sleep=lambda _: None)
    assert refusing.begin_counting(counting) == counting
