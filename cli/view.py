"""What a person sees: a job while it runs and when it has ended, or one file being copied.

Knows terminals: bars where there is one, an occasional plain line where there is none. Refuses to know where the
figures come from. Everything goes to stderr except the closing table, which is the command's answer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.filesize import decimal
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sluiceway.jobs.states import JOB_ENDS, JobState

if TYPE_CHECKING:
    from cli.jobs import InFlight, JobView

PLAIN_LINE_SECONDS = 10.0
RATE_WINDOW_SECONDS = 5.0
MAX_BARS = 12
MAX_PROBLEMS = 20
# What a list has room for of an export API's words.
LISTED_CHARS = 30
# What the columns beside an id need to be read; and room for a line of a list that no terminal bounds.
LEAST_BESIDE_ID = 53
PIPED_CHARS = 400
COLOURS = {"stored": "green", "skipped": "cyan", "rejected": "red", "failed": "red", "cancelled": "yellow"}


class Rate:
    """Bytes per second over the last few seconds, from (time, bytes so far)."""

    def __init__(self, window_seconds: float = RATE_WINDOW_SECONDS) -> None:
        self._window = window_seconds
        self._seen: deque[tuple[float, int]] = deque()

    def feed(self, now: float, total: int) -> float:
        self._seen.append((now, total))
        while len(self._seen) > 2 and now - self._seen[0][0] > self._window:
            self._seen.popleft()
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        return max(0.0, (after - before) / (end - start)) if end > start else 0.0


class JobProgress:
    """A context manager; `show` it a JobView as often as there is one."""

    def __init__(self, console: Console | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._rate = Rate()
        self._said: tuple[float, tuple[JobState, str | None]] | None = None
        self._live = (
            Live(console=self._console, refresh_per_second=4, transient=True) if self._console.is_terminal else None
        )

    def __enter__(self) -> JobProgress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Clears the live part, so that what follows stands alone."""
        if self._live:
            self._live.stop()

    def doing(self, text: str) -> None:
        """What is under way before there is a job to show. Only a terminal has a place for it that clears itself."""
        if self._live:
            self._live.update(Spinner("line", Text(text, style="bold")), refresh=True)

    def note(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(self, job: JobView) -> None:
        rate = self._rate.feed(self._clock(), job.bytes)
        if self._live:
            self._live.update(Group(Text(_line(job, rate), style="bold"), _bars(job.in_flight)))
            return
        now = self._clock()
        news = (job.state, job.export_told)
        if self._said is None or news != self._said[1] or now - self._said[0] >= PLAIN_LINE_SECONDS:
            self._said = (now, news)
            self.note(_line(job, rate))


def _files(job: JobView, ended: int) -> str:
    """`12/200 files`; before there is a list, what is waited for, in the export API's own words where it has any."""
    listed = f"{ended}/{job.files_total} files" if job.files_total is not None else ""
    if job.export_told is None and job.state is not JobState.EXPORTING:
        return listed or "listing files"
    told = f": {job.export_told}" if job.export_told else ""
    return f"{listed}{', ' if listed else ''}awaiting the export{told}"


def _line(job: JobView, rate: float) -> str:
    """`acme-1 TRANSFERRING 12/200 files (10 stored, 2 failed) 1.2 GB of 3.4 GB, 80.1 MB/s, 4 in flight`. `rate` is that
    of this moment, which an ended job no longer has: of one it tells the mean from its start to its end."""
    ended = sum(job.counts.files.values())
    files = _files(job, ended)
    by_state = ", ".join(f"{count} {state}" for state, count in job.counts.files.items() if count)
    # A source may send more than its list said: what is exceeded already is no total.
    of = f" of {decimal(job.bytes_total)}" if job.bytes_total and job.bytes <= job.bytes_total else ""
    flying = f", {len(job.in_flight)} in flight" if job.in_flight else ""
    counted = f" ({by_state})" if by_state else ""
    speed = f"{decimal(int(rate))}/s"
    if job.ended:
        mean = job.bytes / job.seconds if job.seconds else 0.0
        speed = f"{job.seconds:.1f} s, {decimal(int(mean))}/s on average"
    return f"{job.job_id} {job.state.value} {files}{counted} {decimal(job.bytes)}{of}, {speed}{flying}"


def _bars(files: Iterable[InFlight]) -> Progress:
    bars = _progress(None)
    for file in sorted(files, key=lambda file: file.key)[:MAX_BARS]:
        bars.add_task(file.key, total=file.size, completed=file.bytes)
    return bars


def _progress(console: Console | None, *more: Any) -> Progress:
    name = TextColumn("{task.description}", markup=False, table_column=None)
    return Progress(name, BarColumn(), DownloadColumn(), *more, console=console)


@contextmanager
def file_progress(name: str, size: int | None) -> Iterator[Callable[[int], None]]:
    """One bar on stderr. Yields what to call with the number of bytes moved so far."""
    with _progress(Console(stderr=True), TransferSpeedColumn()) as bar:
        task = bar.add_task(name, total=size)
        yield lambda moved: bar.update(task, completed=moved)


def print_outcome(
    outcome: Mapping[str, Any], problems: Iterable[Mapping[str, Any]], error: Mapping[str, str] | None
) -> None:
    """The closing table, on stdout: `outcome` is what `--json` prints, `problems` the report's lines of files that
    did not land."""
    console = Console()
    console.print(Text(f"{outcome['job_id']}: {outcome['status']}", style="bold"), soft_wrap=True)
    table = Table(show_header=False)
    for state, count in outcome["files"].items():
        table.add_row(state, str(count), style=COLOURS[state] if count else "dim")
    if "export_progress" in outcome:
        table.add_row("export", Text(outcome["export_progress"]))
    table.add_row("bytes", f"{outcome['bytes']:,} ({decimal(outcome['bytes'])})")
    table.add_row("seconds", f"{outcome['seconds']:.1f}")
    console.print(table)
    if error:
        console.print(Text(f"{error.get('type')}: {error.get('message')}", style="red"), soft_wrap=True)
    for n, line in enumerate(problems):
        if n == MAX_PROBLEMS:
            console.print("  … and more: see report.jsonl")
            break
        console.print(Text(f"{line['status']} {line['bucket']}/{line['key']}: {_why(line)}"), soft_wrap=True)
    console.print(f"outputs: {outcome['outputs'] or _none(outcome)}", highlight=False, markup=False, soft_wrap=True)


def _none(outcome: Mapping[str, Any]) -> str:
    if JobState(outcome["status"]) in JOB_ENDS:
        return "none"
    return "none yet: the job goes on, and the files that did not land are told when it has ended"


def _why(line: Mapping[str, Any]) -> str:
    """An error by name and text; a cancelled file has a reason instead."""
    error = line["error"]
    return f"{error['type']}: {error['message']}" if error else str(line["reason"])


def _status(job: Mapping[str, Any]) -> str:
    told = job.get("export_progress")
    return f"{job['status']} ({told[:LISTED_CHARS]})" if told else str(job["status"])


def print_jobs(jobs: Iterable[Mapping[str, Any]]) -> None:
    """A line a job, on stdout, as `list --json` has them. An id is what the other commands are given, so it stands
    whole however narrow the terminal is; the other columns are folded."""
    listed = list(jobs)
    widest = max((len(job["job_id"]) for job in listed), default=0)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("job", no_wrap=True, min_width=widest)
    # A date is never broken.
    for name, least in {"status": 1, "files": 1, "bytes": 1, "started (UTC)": 10, "seconds": 1}.items():
        table.add_column(name, overflow="fold", min_width=least)
    for job in listed:
        total = "?" if job["files_total"] is None else job["files_total"]
        files = f"{sum(job['files'].values())}/{total}"
        started = job["created_at"][:19].replace("T", " ")
        table.add_row(
            Text(job["job_id"]), Text(_status(job)), files, decimal(job["bytes"]), started, f"{job['seconds']:.0f}"
        )
    console = Console()
    # What is wider than its console Rich cuts, and a pipe's counts as 80 columns.
    width = max(console.width, widest + LEAST_BESIDE_ID) if console.is_terminal else PIPED_CHARS
    # Without a height Rich does not take the width from us where the terminal is a dumb one.
    Console(width=width, height=console.height).print(table, highlight=False)
