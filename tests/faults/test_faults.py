"""Every fault of the table: afterwards the object is there and whole, or it is not there, and nothing is left over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.certificates import Certificates
from tests.faults.framing_rows import FRAMING_ROWS
from tests.faults.harness import MAX_GROWTH_BYTES, MAX_SECONDS, MAX_SLEEP_SECONDS, SECRET, Ran, Row, run
from tests.faults.source_rows import SOURCE_ROWS
from tests.faults.store_rows import STORE_ROWS

ROWS = [*SOURCE_ROWS, *FRAMING_ROWS, *STORE_ROWS]


def named(row: Row) -> str:
    return row.name


def test_the_table_names_each_fault_once() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) >= 60


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_fault(
    row: Row,
    landed: Path,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    record_property: pytest.RecordProperty,
) -> None:
    # botocore's own would fill the memory that is measured; it is told nothing of the source.
    with caplog.at_level("DEBUG", "urllib3"), caplog.at_level("DEBUG", "sluiceway"):
        ran = run(row, landed, certificates)
    attempts = max(len(ran.requests), len(ran.sleeps))
    shown = f"{ran.result.state} {ran.result.error_type or ''}"
    record_property("fault", (row.name, shown, attempts, ran.seconds))
    assert (ran.result.state, ran.result.error_type) == row.expect, ran.result
    assert ran.object == (row.lands.body if row.lands else None)
    assert (ran.uploads == []) is not row.leaves_upload
    assert len(ran.requests) <= row.max_requests
    assert ran.growth_bytes < MAX_GROWTH_BYTES
    assert sum(ran.sleeps) <= MAX_SLEEP_SECONDS
    assert ran.seconds < MAX_SECONDS
    _keeps_the_secret(ran, caplog.text)
    _is_measured(row, ran)
    if row.check is not None:
        row.check(ran)


def _is_measured(row: Row, ran: Ran) -> None:
    """Whatever the end: every request after the first is counted, except those to which a redirect led."""
    result = ran.result
    assert 0 < result.seconds <= ran.seconds
    assert result.source_wait_seconds + result.sink_wait_seconds + result.hash_seconds <= result.seconds
    assert result.peak_memory_bytes > 0
    if not row.name.startswith("redirect"):
        # Where no connection comes about, each pause is before another try.
        assert result.source_resumes == (len(ran.requests) - 1 if ran.requests else len(ran.sleeps))


def _keeps_the_secret(ran: Ran, log: str) -> None:
    assert SECRET not in ran.text
    assert SECRET not in log
