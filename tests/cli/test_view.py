"""What a person sees, where there is a terminal and where there is none."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from cli.follow import outcome
from cli.jobs import InFlight, JobView
from cli.view import PLAIN_LINE_SECONDS, JobProgress, Rate, print_jobs, print_outcome
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


@pytest.mark.parametrize("total", [None, 0, 5], ids=["sizes unknown", "empty files", "more has come than was stated"])
def test_without_a_total_that_can_be_right_a_line_tells_only_what_has_moved(total: int | None) -> None:
    flying = (InFlight("big", 500_000, None),)
    (line,) = plain([(0.0, view(bytes_total=total, in_flight=flying))])
    assert line == "acme[1] TRANSFERRING 4/10 files (3 stored, 1 failed) 1.5 MB, 0 bytes/s, 1 in flight"


def test_the_line_of_an_ended_job_tells_its_mean_rate_and_not_that_of_the_last_moment() -> None:
    times = {"created_at": "2026-11-23T10:00:00+00:00", "ended_at": "2026-11-23T10:00:08+00:00"}
    _, line = plain([(0.0, view()), (60.0, view(JobState.COMPLETED, **times))])
    assert line.endswith(" 1.0 MB of 4.0 MB, 8.0 s, 125.0 kB/s on average")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that can move its cursor, wherever the tests run."""
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_what_is_being_set_up_stands_where_the_job_will() -> None:
    out = io.StringIO()
    with JobProgress(Console(file=out, width=100, force_terminal=True)) as progress:
        progress.doing("setting up the engine: deploying the stack")
        progress.show(view())
    assert out.getvalue().index("deploying the stack") < out.getvalue().index("4/10 files")


@pytest.mark.usefixtures("terminal")
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
    ("facts", "told"),
    [
        ({"files_total": None}, "acme[1] EXPORTING awaiting the export 0 bytes"),
        ({"files_total": None, "export_progress": "[50%] done"},
         "acme[1] EXPORTING awaiting the export: [50%] done 0 bytes"),
        ({"export_progress": "half"}, "acme[1] EXPORTING 0/10 files, awaiting the export: half 0 bytes"),
    ],
)  # fmt: skip
def test_while_the_export_is_awaited_its_progress_is_told(facts: dict[str, Any], told: str) -> None:
    (line,) = plain([(0.0, view(JobState.EXPORTING, bytes_total=None, counts=Counts(), **facts))])
    assert line == f"{told}, 0 bytes/s"


def test_without_a_terminal_every_progress_of_an_export_has_its_line() -> None:
    waiting = [view(JobState.EXPORTING, files_total=None, export_progress=told) for told in (None, "1%", "1%", "2%")]
    lines = plain([(float(n), each) for n, each in enumerate(waiting)])
    assert [line.partition("awaiting the export")[2].partition(" (")[0] for line in lines] == ["", ": 1%", ": 2%"]


def test_progress_of_an_export_is_not_told_once_files_move() -> None:
    (line,) = plain([(0.0, view(export_progress="100%"))])
    assert "100%" not in line


def test_a_report_and_a_list_tell_how_far_the_export_is(capsys: pytest.CaptureFixture[str]) -> None:
    waiting = view(JobState.EXPORTING, files_total=None, counts=Counts(), export_progress="[50%]")
    print_outcome(outcome(waiting, 1.0, "landed"), [], None)
    listed = {"job_id": "acme", "status": "EXPORTING", "created_at": "2026-11-23T10:00:00+00:00", "seconds": 1.0,
              "files": {}, "files_total": None, "bytes": 0, "export_progress": "[50%]"}  # fmt: skip
    print_jobs([listed])
    shown = capsys.readouterr().out
    assert shown.count("[50%]") == 2
    assert "EXPORTING ([50%])" in shown
    assert "started (UTC)" in shown


def listed(job_id: str) -> dict[str, Any]:
    return {"job_id": job_id, "status": "COMPLETED_WITH_FAILURES", "created_at": "2026-11-23T10:00:00+00:00",
            "seconds": 1.0, "files": {"stored": 1000}, "files_total": 1000, "bytes": 10**9}  # fmt: skip


IDS = ["one-20261128T023443Z-pdtfac", "a" * 80]


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1", "TERM": "xterm"}], ids=["a pipe", "a terminal"])
@pytest.mark.parametrize("columns", ["20", "80", "200"])
@pytest.mark.parametrize("ids", [IDS[:1], IDS])
def test_a_list_shows_every_id_whole(
    ids: list[str],
    columns: str,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {"COLUMNS": columns, **environment}.items():
        monkeypatch.setenv(name, value)
    print_jobs(map(listed, ids))
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines() if line.startswith(tuple(ids))] == ids
    assert "…" not in shown


def test_in_eighty_columns_a_list_of_automatic_ids_keeps_to_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"COLUMNS": "80", "FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    print_jobs([listed(IDS[0])])
    lines = Text.from_ansi(capsys.readouterr().out).plain.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith(IDS[0]) and "2026-11-23" in line for line in lines)


def test_a_list_that_is_piped_has_one_line_a_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    print_jobs(map(listed, IDS))
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        [job_id, "COMPLETED_WITH_FAILURES", "1000/1000", "1.0", "GB", "2026-11-23", "10:00:00", "1"] for job_id in IDS
    ]


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
    told = {
        "job_id": "acme",
        "status": "COMPLETED_WITH_FAILURES",
        "files": {"stored": 3, "skipped": 0, "rejected": 1, "failed": 0},
        "bytes": 1234567,
        "seconds": 1.5,
        "outputs": "landed/jobs/acme",
    }
    error = {"type": "DigestMismatchError", "message": "expected [1], received [2]"}
    problems = [{"status": "REJECTED", "bucket": "b", "key": f"k{n}", "error": error} for n in range(25)]
    print_outcome(told, problems, None)
    shown = capsys.readouterr().out
    assert "acme: COMPLETED_WITH_FAILURES" in shown
    assert "1,234,567" in shown
    assert "REJECTED b/k0: DigestMismatchError: expected [1], received [2]" in shown
    assert "k19" in shown
    assert "k20" not in shown
    assert "see report.jsonl" in shown
    assert shown.rstrip().endswith("outputs: landed/jobs/acme")
