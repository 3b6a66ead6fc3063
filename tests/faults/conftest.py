"""Prints the table of faults at the end of the run, whichever worker ran a row."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path

import botocore.endpoint
import pytest

from tests.faults.certificates import Certificates, make_certificates

_rows: list[tuple[str, str, int, float]] = []


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """botocore waits between its tries; here it only says how long it would have."""
    waits: list[float] = []
    monkeypatch.setattr(botocore.endpoint, "time", types.SimpleNamespace(sleep=waits.append))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    yield waits


@pytest.fixture
def landed(tmp_path: Path) -> Path:
    return tmp_path / "landed"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, value in report.user_properties if report.when == "call" else ():
        if name == "fault":
            _rows.append(value)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _rows:
        return
    terminalreporter.section(f"{len(_rows)} faults")
    width = max(len(row[0]) for row in _rows)
    terminalreporter.write_line(f"{'fault':{width}}  {'status':34}  attempts  seconds")
    for name, status, attempts, seconds in _rows:
        terminalreporter.write_line(f"{name:{width}}  {status:34}  {attempts:8}  {seconds:7.2f}")
