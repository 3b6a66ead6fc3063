"""What a person sees, where there is a terminal and where there is none."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from cli.jobs import InFlight, JobView
from cli.view import PLAIN_LINE_SECONDS, JobProgress, Rate, print_outcome
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.states import JobState


def view(state: JobState = JobState.TRANSFERRING, **more: Any) -> JobView:
    facts: dict[str, Any] = {
        "files_total": 10,
        "bytes_total": 4_000_000,
        "counts": Counts(stored=3, failed=1, bytes=10**6),
    }
    return JobView("acme[1]", state, "arn", **{**facts, **more})


def plain(views: list[tuple[float, JobView]]) -> list[str]:
    out = io.StringIO()
    times = [at for at, _ in views for _ in range(2)]
    with JobProgress(Console(file=out, width=40), clock=iter(times).__next__) as progress:
        for _, each in views:
            progress.show(each)
    return out.getvalue().splitlines()


def test_without_a_terminal_a_line_comes_for_each_state_and_then_occasionally() -> None:
    lines = plain(
        [
            (0.0, view(JobState.REQUESTED, files_total=None, counts=Counts())),
            (1.0, view()),
            (2.0, view()),
            (1.0 + PLAIN_LINE_SECONDS, view()),
            (2.0 + PLAIN_LINE_SECONDS, view(JobState.COMPLETED)),
        ]
    )
    assert [line.split()[1] for line in lines] == ["REQUESTED", "TRANSFERRING", "TRANSFERRING", "COMPLETED"]


def test_a_line_tells_files_by_state_bytes_rate_and_what_is_in_flight() -> None:
    flying = (InFlight("big", 500_000, 2_000_000),)
    _, line = plain([(0.0, view(JobState.EXPORTING, counts=Counts())), (2.0, view(in_flight=flying))])
    assert line == ("acme[1] TRANSFERRING 4/10 files (3 stored, 1 failed) 1.5 MB of 4.0 MB, 750.0 kB/s, 1 in flight")


def test_on_a_terminal_every_file_in_flight_has_a_bar() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True)
    with JobProgress(console) as progress:
        progress.show(view(in_flight=(InFlight("a/[b].csv", 500_000, 1_000_000), InFlight("c.csv", 7, None))))
    shown = out.getvalue()
    assert "4/10 files" in shown
    assert "a/[b].csv" in shown
    assert "0.5/1.0 MB" in shown
    assert "c.csv" in shown


@pytest.mark.parametrize(
    ("fed", "rate"),
    [
        ([(0, 0)], 0),
        ([(0, 0), (2, 100)], 50),
        ([(0, 0), (10, 1000), (12, 1100)], 50),
        ([(0, 100), (1, 50)], 0),
    ],
    ids=["one look", "two looks", "only the last seconds count", "a file begun anew"],
)
def test_rate_is_of_the_last_seconds(fed: list[tuple[float, int]], rate: float) -> None:
    meter = Rate(window_seconds=5)
    assert [meter.feed(*each) for each in fed][-1] == rate


def test_the_closing_table_names_what_did_not_land(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = {
        "job_id": "acme",
        "status": "COMPLETED_WITH_FAILURES",
        "files": {"stored": 3, "skipped": 0, "rejected": 1, "failed": 0},
        "bytes": 1234567,
        "seconds": 1.5,
        "outputs": "landed/jobs/acme",
    }
    error = {"type": "DigestMismatchError", "message": "expected [1], received [2]"}
    problems = [{"status": "REJECTED", "bucket": "b", "key": f"k{n}", "error": error} for n in range(25)]
    print_outcome(outcome, problems, None)
    shown = capsys.readouterr().out
    assert "acme: COMPLETED_WITH_FAILURES" in shown
    assert "1,234,567" in shown
    assert "REJECTED b/k0: DigestMismatchError: expected [1], received [2]" in shown
    assert "k19" in shown
    assert "k20" not in shown
    assert "see report.jsonl" in shown
    assert shown.rstrip().endswith("outputs: landed/jobs/acme")
