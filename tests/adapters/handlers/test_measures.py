"""What a function that moves files measures of itself, as CloudWatch reads it: embedded metrics in its log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from sluiceway import telemetry
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState
from sluiceway.landing.memory import begin_peak, peak_memory_bytes
from tests.adapters.handlers.metrics import embedded
from tests.support.deployment import Deployment, LambdaContext
from tests.support.source import Reply, SourceServer

MIB = 1024**2


def moved(deployment: Deployment, source: SourceServer, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The metrics of the one invocation that landed a file."""
    source.replies |= {"/a": Reply(b"abc")}
    capsys.readouterr()
    deployment.run({"job_id": "measured", "source": {"type": "urls", "files": [{"url": source.url("/a")}]}})
    (found,) = [each for each in embedded(capsys.readouterr().out) if "FilesStored" in each]
    return found


def test_a_jobs_metrics_carry_its_id_as_a_property_and_no_dimension(
    deployment: Deployment, source: SourceServer, capsys: pytest.CaptureFixture[str]
) -> None:
    found = moved(deployment, source, capsys)
    assert found["job_id"] == "measured"
    (directive,) = found["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["service"]]
    assert "job_id" not in {metric["Name"] for metric in directive["Metrics"]}


@pytest.mark.parametrize("memory_mb", [512, 5120])
def test_memory_is_measured_by_the_functions_own_size(
    deployment: Deployment,
    source: SourceServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    memory_mb: int,
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", str(memory_mb))
    found = moved(deployment, source, capsys)
    ((megabytes,), (percent,)) = found["PeakMemoryMB"], found["PeakMemoryPercent"]
    assert megabytes > 10
    assert percent == pytest.approx(100 * megabytes / memory_mb)


def test_a_file_nobody_worked_on_counts_and_lowers_no_mean(capsys: pytest.CaptureFixture[str]) -> None:
    @telemetry.entry(measures=True)
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        for state, seconds in ((FileState.STORED, 4.0), (FileState.SKIPPED, 0.0)):
            telemetry.measure_file(
                FileTask("https://example.com/a", "landing", "a"), FileResult(state, seconds=seconds)
            )
        return {}

    handler({}, LambdaContext())
    (found,) = embedded(capsys.readouterr().out)
    assert (found["FilesStored"], found["FilesSkipped"]) == ([1.0], [1.0])
    per_file = {name for name in found if name.endswith("Seconds")}
    assert {name: len(found[name]) for name in per_file} == dict.fromkeys(per_file, 1)
    assert found["TransferSeconds"] == [4.0]


@pytest.mark.skipif(sys.platform != "linux", reason="the resident peak is reset by Linux's /proc/self/clear_refs")
def test_the_peak_is_of_the_invocation_not_of_one_before_it(
    deployment: Deployment, source: SourceServer, capsys: pytest.CaptureFixture[str]
) -> None:
    ballast = b"x" * 512 * MIB
    del ballast
    before = peak_memory_bytes()
    found = moved(deployment, source, capsys)
    (line,) = deployment.lines("measured", "report.jsonl")
    assert line["peak_memory_bytes"] < before - 256 * MIB
    assert found["PeakMemoryMB"][0] * MIB < before - 256 * MIB


def test_where_the_peak_cannot_be_reset_it_is_that_of_the_process(tmp_path: Path) -> None:
    begin_peak()
    assert len(b"x" * (64 * MIB)) == 64 * MIB
    before = peak_memory_bytes()
    begin_peak(tmp_path / "none" / "clear_refs")
    # Linux counts a process's pages in batches, a few dozen for each thread.
    assert peak_memory_bytes() > before - 8 * MIB
