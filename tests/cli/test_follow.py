"""What is told of a job that was followed: how it ended or stands, and which files did not land."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

from cli.follow import outcome, tell
from cli.jobs import JobsClient, JobView
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.states import JobState

ENDED = "2026-11-23T10:00:08+00:00"
ERROR = {"type": "SourceStatusError", "message": "status 404"}


@dataclass
class Reports:
    """The jobs bucket with a report in it, of whichever run; counts how often it is read."""

    reads: int = 0

    def read_report(self, _: str) -> Iterator[dict[str, Any]]:
        self.reads += 1
        yield {"status": "STORED", "bucket": "b", "key": "good", "error": None}
        yield {"status": "FAILED", "bucket": "b", "key": "bad", "error": ERROR}


@pytest.mark.parametrize(
    ("state", "counts", "ended_at", "reads"),
    [
        (JobState.COMPLETED_WITH_FAILURES, Counts(stored=1, failed=1), ENDED, 1),
        (JobState.FAILED, Counts(rejected=1), ENDED, 1),
        (JobState.CANCELLED, Counts(stored=1, cancelled=1), ENDED, 1),
        (JobState.COMPLETED, Counts(stored=1, skipped=1), ENDED, 0),
        (JobState.TRANSFERRING, Counts(stored=1, failed=1), None, 0),
        (JobState.FAILED, Counts(failed=1), None, 0),
    ],
    ids=["some failed", "one was rejected", "cancelled", "all landed", "it runs again", "lost to its execution"],
)
def test_the_report_is_read_where_it_is_this_runs_and_something_did_not_land(
    state: JobState, counts: Counts, ended_at: str | None, reads: int, capsys: pytest.CaptureFixture[str]
) -> None:
    view = JobView("acme", state, "arn", 2, None, counts, ended_at=ended_at)
    jobs = Reports()
    tell(view, outcome(view, 1.0, "s3://jobs/jobs/acme/"), cast(JobsClient, jobs), as_json=False)
    shown = capsys.readouterr().out
    assert jobs.reads == reads
    assert ("FAILED b/bad: SourceStatusError: status 404" in shown, "good" in shown) == (reads == 1, False)
    assert ("outputs: s3://jobs/jobs/acme/" in shown) == (ended_at is not None)
    assert ("outputs: none yet" in shown) == (state is JobState.TRANSFERRING)


def test_the_fake_has_what_the_client_has() -> None:
    assert hasattr(JobsClient, "read_report")
