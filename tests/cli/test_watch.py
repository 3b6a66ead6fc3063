"""When following a job ends, and when it gives up."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from rich.console import Console

from cli.follow import show_until_end
from cli.jobs import JobsClient, JobView, Submitted
from cli.view import JobProgress
from cli.watch import JobLostError, Watch
from sluiceway.errors import JobIsLiveError
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.states import JobState

OURS, THEIRS = "arn:ours", "arn:theirs"
SUBMITTED = Submitted("job", OURS)


def view(state: JobState, execution: str = OURS) -> JobView:
    return JobView("job", state, execution, None, None, Counts())


@dataclass
class Jobs:
    """Answers with one (execution status, view) a look, the last of them for ever."""

    script: list[tuple[str, JobView | None]]
    looks: list[tuple[str, JobView | None]] = field(default_factory=list)
    end: str = "FAILED: JobIsLiveError: job is live"

    def execution_status(self, _: Submitted) -> str:
        self.looks.append(self.script[min(len(self.looks), len(self.script) - 1)])
        return self.looks[-1][0]

    def read(self, _: str) -> JobView | None:
        return self.looks[-1][1]

    def execution_end(self, _: Submitted) -> str:
        return self.end


def watch(jobs: Jobs) -> Watch:
    clock = iter(range(10_000))
    return Watch(cast(Any, jobs), clock=lambda: float(next(clock)), sleep=lambda _: None, settle_seconds=3)


@pytest.mark.parametrize(
    ("script", "states"),
    [
        (
            [
                ("RUNNING", None),
                ("RUNNING", view(JobState.TRANSFERRING)),
                ("RUNNING", view(JobState.COMPLETED)),
                ("SUCCEEDED", view(JobState.COMPLETED)),
            ],
            ["TRANSFERRING", "COMPLETED", "COMPLETED"],
        ),
        (
            [("ABORTED", view(JobState.TRANSFERRING)), ("ABORTED", view(JobState.CANCELLED))],
            ["TRANSFERRING", "CANCELLED"],
        ),
        (
            [("RUNNING", view(JobState.COMPLETED, THEIRS)), ("SUCCEEDED", view(JobState.FAILED))],
            ["FAILED"],
        ),
    ],
    ids=["waits for the execution", "waits for complete_job", "passes over an earlier run"],
)
def test_the_end_is_when_execution_and_job_have_ended(
    script: list[tuple[str, JobView | None]], states: list[str]
) -> None:
    seen = list(watch(Jobs(script)).follow(SUBMITTED))
    assert [each.state.value for each in seen] == states


@pytest.mark.parametrize(
    "after",
    [None, view(JobState.TRANSFERRING, THEIRS), view(JobState.TRANSFERRING)],
    ids=["no row", "another execution's job", "never settled"],
)
def test_a_job_that_does_not_end_with_its_execution_is_lost(after: JobView | None) -> None:
    with pytest.raises(JobLostError, match="States.Runtime"):
        list(watch(Jobs([("FAILED", after)], end="FAILED: States.Runtime: broken")).follow(SUBMITTED))


@pytest.mark.parametrize("row", [None, view(JobState.COMPLETED, THEIRS)], ids=["no row", "that of an earlier run"])
def test_a_job_that_was_stopped_before_it_had_begun_is_cancelled(row: JobView | None) -> None:
    jobs = Jobs([("RUNNING", row), ("ABORTED", row)], end="ABORTED: Cancelled: cancelled from the command line")
    with JobProgress(Console(file=io.StringIO())) as progress:
        ended = show_until_end(SUBMITTED, watch(jobs), progress)
    assert (ended.state, ended.error, ended.has_outputs) == (JobState.CANCELLED, None, False)


def test_a_job_that_was_stopped_once_it_had_begun_is_lost_where_nothing_ends_it() -> None:
    jobs = Jobs([("ABORTED", view(JobState.TRANSFERRING))], end="ABORTED: Cancelled: by hand")
    with JobProgress(Console(file=io.StringIO())) as progress:
        ended = show_until_end(SUBMITTED, watch(jobs), progress)
    assert (ended.state, ended.error) == (
        JobState.FAILED, {"type": "JobLostError", "message": "ABORTED: Cancelled: by hand"},
    )  # fmt: skip


def test_an_execution_that_found_its_job_live_says_nothing_of_how_that_job_ended() -> None:
    script: list[tuple[str, JobView | None]] = [("RUNNING", None), ("FAILED", view(JobState.TRANSFERRING, THEIRS))]
    with pytest.raises(JobIsLiveError, match="live already .now TRANSFERRING.: this one was not started"):
        list(watch(Jobs(script)).follow(SUBMITTED))
    with pytest.raises(JobIsLiveError):
        watch(Jobs(script)).is_begun(SUBMITTED, seconds=100)


@pytest.mark.parametrize(
    ("script", "begun"),
    [
        ([("RUNNING", None), ("RUNNING", view(JobState.REQUESTED))], True),
        ([("RUNNING", view(JobState.FAILED, THEIRS)), ("RUNNING", view(JobState.REQUESTED))], True),
        ([("SUCCEEDED", view(JobState.COMPLETED))], True),
        ([("RUNNING", None)], False),
    ],
    ids=["once it has its row", "past the row of an earlier run", "also when it is over", "not in time"],
)
def test_a_job_has_begun_when_the_row_is_its_executions(script: list[tuple[str, JobView | None]], begun: bool) -> None:
    assert watch(Jobs(script)).is_begun(SUBMITTED, seconds=5) is begun


def test_a_job_whose_execution_ended_without_a_row_will_never_begin() -> None:
    with pytest.raises(JobLostError, match="no permission"):
        watch(Jobs([("FAILED", None)], end="FAILED: Lambda.Error: no permission")).is_begun(SUBMITTED, seconds=5)


def test_the_fake_has_what_the_client_has() -> None:
    assert {"execution_status", "read", "execution_end"} <= set(dir(JobsClient))


def test_a_job_is_not_lost_while_what_ends_it_is_at_work() -> None:
    at_work = iter([True] * 20)
    script = [("FAILED", view(JobState.TRANSFERRING))] * 15 + [("FAILED", view(JobState.FAILED))]
    jobs = Jobs(list(script))
    ended = list(replace(watch(jobs), busy=lambda: next(at_work)).follow(SUBMITTED))[-1]
    assert ended.state is JobState.FAILED
