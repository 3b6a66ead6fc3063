"""Ctrl-C in a command that looks on ends the looking on: the job goes on, and that is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli import remote
from cli.jobs import JobsClient, JobView, Submitted
from cli.stack_options import StackName
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.states import JobState

NAME = StackName("sluiceway", endpoint_url="http://127.0.0.1:1")
LIVE = JobView("acme", JobState.TRANSFERRING, "arn:acme", None, None, Counts())


@dataclass
class Jobs:
    """A stack whose job goes on for ever; whoever looks on is interrupted."""

    row: JobView | None = LIVE
    is_cancelled: bool = False

    def read(self, _: str) -> JobView | None:
        return self.row

    def submit(self, _: Mapping[str, Any], __: Path | None) -> Submitted:
        return Submitted("acme", "arn:acme")

    def cancel(self, _: Submitted) -> None:
        self.is_cancelled = True

    def execution_status(self, _: Submitted) -> str:
        raise KeyboardInterrupt


def test_the_fake_has_what_the_client_has() -> None:
    assert {name for name in vars(Jobs) if not name.startswith("_")} - {"row", "is_cancelled"} <= set(dir(JobsClient))


@pytest.mark.parametrize(
    ("command", "row", "told"),
    [
        (lambda job: remote.submit(job, NAME, job_id="acme", follow=True, as_json=True), None, "acme goes on"),
        (lambda _: remote.watch("acme", NAME, as_json=True), LIVE, "acme goes on"),
        (lambda _: remote.cancel("acme", NAME, wait=True, as_json=True), LIVE, "acme is being cancelled"),
    ],
    ids=["submit --watch", "watch", "cancel --wait"],
)
def test_who_looks_no_longer_on_is_told_what_becomes_of_the_job(
    command: Callable[[str], int],
    row: JobView | None,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "urls.txt").write_text("https://example.org/a")
    monkeypatch.setattr("cli.remote.open_stack", lambda _: Jobs(row))
    assert command(str(tmp_path / "urls.txt")) == 130
    out, err = capsys.readouterr()
    message = f"{told}; `sluiceway watch acme` shows it"
    assert err == f"{message}\n"
    error = {"type": "Interrupted", "message": message}
    assert json.loads(out) == {"job_id": "acme", "status": "INTERRUPTED", "error": error}


def test_a_submission_that_is_not_waited_for_has_its_id_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "urls.txt").write_text("https://example.org/a")
    monkeypatch.setattr("cli.remote.open_stack", lambda _: Jobs(None))
    assert remote.submit(str(tmp_path / "urls.txt"), NAME, job_id="acme", follow=False, as_json=True) == 130
    out, err = capsys.readouterr()
    assert json.loads(out) == {"job_id": "acme", "execution": "arn:acme"}
    assert err == "acme goes on; `sluiceway watch acme` shows it\n"
