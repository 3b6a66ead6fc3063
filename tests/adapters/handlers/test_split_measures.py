"""What moving a large file in segments took: in its result and in CloudWatch as of a file moved whole, whatever its
end. Its segments and their relays add up; of an invocation that was repeated, the one that came through counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from sluiceway.errors import SourceStatusError
from sluiceway.jobs.files import MEASURES
from sluiceway.landing.relaying import TimeLeft
from sluiceway.source.retry import RetryBudget
from tests.adapters.handlers.metrics import embedded
from tests.conftest import AwsServer
from tests.support.deployment import Deployment, caught, deploy
from tests.support.source import Body, Reply, Request, SourceServer, ranged

MIB = 1024**2
BODY = Body(23 * MIB + 7).read()
JOB = "split"
METRICS = {
    "seconds": "TransferSeconds",
    "source_wait_seconds": "SourceWaitSeconds",
    "sink_wait_seconds": "SinkWaitSeconds",
    "hash_seconds": "HashSeconds",
    "pool_waits": "PoolWaits",
    "part_retries": "PartRetries",
    "source_resumes": "SourceResumes",
    "relays": "Relays",
}


@dataclass
class Large:
    """A file whose answers break off: `cuts` says, by the first byte of a range, after how many bytes, answer by answer
    (the last are whole). The answer that begins at `late` comes when the function's time is up; `gone` are first bytes
    that answer 404."""

    cuts: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    late: int | None = None
    gone: set[int] = field(default_factory=set[int])
    now: float = 0.0

    def send(self, request: Request) -> Reply:
        start = int(request.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
        if start in self.gone:
            return Reply(b"", 404)
        if start == self.late:
            self.now = 1.0
        cuts = self.cuts.get(start)
        # One byte is how the source is asked whether it honours ranges.
        probing = request.headers.get("Range", "") in ("", "bytes=0-0")
        return replace(ranged(BODY, request), cut_after=cuts.pop(0)) if cuts and not probing else ranged(BODY, request)


@pytest.fixture
def deployment(moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, source: SourceServer) -> Iterator[Deployment]:
    settings = {"allowed_sources": source.host, "split_bytes": str(10 * MIB), "part_mib": "5"}
    with deploy(moto_server, monkeypatch, **settings) as deployment:
        deployment.movers.source.budget = RetryBudget(sleep=lambda seconds: None)
        yield deployment


@pytest.fixture
def large(source: SourceServer, monkeypatch: pytest.MonkeyPatch) -> Large:
    large = Large()
    source.replies["/large"] = large.send
    monkeypatch.setattr(TimeLeft, "of", classmethod(lambda cls, ms: cls(1.0, clock=lambda: large.now)))
    return large


def dispatched(deployment: Deployment, source: SourceServer, **entry: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """Who owns the job, and its one unit."""
    execution = deployment.new_execution()
    listed = {"type": "urls", "files": [{"url": source.url("/large"), "split": "crc", **entry}]}
    deployment.start({"job_id": JOB, "source": listed}, execution)
    owner = {"job_id": JOB, "execution": execution}
    (unit,) = json.loads(deployment.read(deployment.invoke("dispatch_files", owner)["units_key"]))
    return owner, {**owner, "unit": unit}


def reported(deployment: Deployment, owner: dict[str, str], out: str) -> dict[str, Any]:
    """The file's line of the report. Every measure of it stands in the metrics of the function that ended the file,
    whose prints are `out`."""
    (metrics,) = [each for each in embedded(out) if "TransferSeconds" in each]
    deployment.invoke("complete_job", owner)
    (line,) = deployment.lines(JOB, "report.jsonl")
    assert METRICS.keys() | {"peak_memory_bytes"} == set(MEASURES)
    for name, metric in METRICS.items():
        assert metrics[metric] == [pytest.approx(line[name])], name
    waits = line["source_wait_seconds"], line["sink_wait_seconds"], line["hash_seconds"]
    assert line["seconds"] >= sum(waits) and min(waits) > 0
    assert line["peak_memory_bytes"] > 10 * MIB
    return line


def test_segments_and_their_relays_add_up_and_repeated_invocations_count_once(
    deployment: Deployment, source: SourceServer, large: Large, capsys: pytest.CaptureFixture[str]
) -> None:
    owner, event = dispatched(deployment, source)
    begun = deployment.invoke("process_file", event)
    assert (begun["action"], begun["segments"]) == ("SPLIT", [0, 1, 2])

    # The first segment breaks off behind its first part, and then its time is up.
    large.cuts, large.late = {0: [6 * MIB], 5 * MIB: [MIB, MIB]}, 6 * MIB
    onward = deployment.invoke("move_segment", {**begun, "n": 0})
    assert (onward["action"], onward["position"]["offset"]) == ("CONTINUE", 5 * MIB)
    assert (onward["measured"]["relays"], onward["measured"]["counts"]["source_resumes"]) == (1, 1)
    # Its rest breaks off once, in the invocation whose answer was lost and in the one that Step Functions sends after.
    large.late, large.now = None, 0.0
    for _ in range(2):
        assert deployment.invoke("move_segment", onward) == {"action": "DONE"}
    assert large.cuts[5 * MIB] == []
    for n in (1, 2):
        assert deployment.invoke("move_segment", {**begun, "n": n}) == {"action": "DONE"}
    before = deployment.services.segments.rows(JOB, 1, *deployment.tasks(JOB))
    capsys.readouterr()
    deployment.invoke("finish_file", begun)
    line = reported(deployment, owner, capsys.readouterr().out)

    assert (line["status"], line["segments"], line["relays"], line["source_resumes"]) == ("STORED", 3, 1, 2)
    assert deployment.landed() == {"large": BODY}
    # The beginning and three segments; FinishFile waits for S3 alone.
    assert len(before) == 4
    seconds = {
        name: sum(row.measured["seconds"].get(name, 0) for row in before) for name in ("total", "source", "hash")
    }
    assert line["hash_seconds"] == pytest.approx(seconds["hash"], abs=0.01)
    assert line["source_wait_seconds"] == pytest.approx(seconds["source"], abs=0.01)
    assert line["seconds"] > seconds["total"] > onward["measured"]["seconds"]["total"]
    assert line["peak_memory_bytes"] >= max(row.measured["counts"]["peak_memory_bytes"] for row in before)


def test_a_split_that_fails_for_good_carries_what_its_segments_took(
    deployment: Deployment, source: SourceServer, large: Large, capsys: pytest.CaptureFixture[str]
) -> None:
    owner, event = dispatched(deployment, source)
    begun = deployment.invoke("process_file", event)
    # The second finds the source gone behind its first MiB.
    large.cuts, large.gone = {0: [MIB], 10 * MIB: [MIB]}, {11 * MIB}
    deployment.invoke("move_segment", {**begun, "n": 0})
    capsys.readouterr()
    with pytest.raises(SourceStatusError) as error:
        deployment.invoke("move_segment", {**begun, "n": 1})
    assert [each for each in embedded(capsys.readouterr().out) if "PeakMemoryMB" in each]
    deployment.invoke("record_failure", {**begun, "error": caught(error.value)})
    line = reported(deployment, owner, capsys.readouterr().out)

    assert (line["status"], line["error"]["type"]) == ("FAILED", "SourceStatusError")
    assert (line["segments"], line["bytes"], line["source_resumes"]) == (3, 10 * MIB, 2)
    assert deployment.unfinished_uploads() == []


def test_a_segment_tells_why_it_failed_even_if_the_table_does_not_take_what_it_took(
    deployment: Deployment, source: SourceServer, large: Large, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, event = dispatched(deployment, source)
    begun = deployment.invoke("process_file", event)
    large.gone = {0}
    nowhere = replace(deployment.movers.segments, name="nowhere")
    monkeypatch.setattr(deployment.movers, "segments", nowhere)
    with pytest.raises(SourceStatusError) as error:
        deployment.invoke("move_segment", {**begun, "n": 0})
    assert error.value.__notes__ == ["and what it took could not be recorded: ResourceNotFoundException"]


def test_a_split_file_that_is_not_what_was_stated_carries_what_its_segments_took(
    deployment: Deployment, source: SourceServer, large: Large, capsys: pytest.CaptureFixture[str]
) -> None:
    owner, event = dispatched(deployment, source, crc32="00000000")
    begun = deployment.invoke("process_file", event)
    large.cuts = {0: [MIB]}
    for n in begun["segments"]:
        deployment.invoke("move_segment", {**begun, "n": n})
    capsys.readouterr()
    deployment.invoke("finish_file", begun)
    line = reported(deployment, owner, capsys.readouterr().out)

    assert (line["status"], line["error"]["type"]) == ("REJECTED", "DigestMismatchError")
    assert (line["segments"], line["bytes"], line["source_resumes"]) == (3, len(BODY), 1)
    assert deployment.landed() == {}


def test_a_file_that_is_gone_before_it_is_split_carries_what_asking_took(
    deployment: Deployment, source: SourceServer, large: Large, capsys: pytest.CaptureFixture[str]
) -> None:
    owner, event = dispatched(deployment, source)
    large.gone = {0}
    capsys.readouterr()
    assert deployment.invoke("process_file", event) == {"action": "DONE"}
    (metrics,) = [each for each in embedded(capsys.readouterr().out) if "FilesFailed" in each]
    deployment.invoke("complete_job", owner)
    (line,) = deployment.lines(JOB, "report.jsonl")
    assert line["status"] == "FAILED"
    assert line["seconds"] >= line["source_wait_seconds"] > 0
    assert metrics["SourceWaitSeconds"] == [pytest.approx(line["source_wait_seconds"])]


def test_what_a_segment_hands_on_is_small(deployment: Deployment, source: SourceServer, large: Large) -> None:
    """Of 256 KB that Step Functions carries, and apart from the other segments."""
    _, event = dispatched(deployment, source)
    begun = deployment.invoke("process_file", event)
    large.cuts, large.late = {0: [6 * MIB]}, 6 * MIB
    onward = deployment.invoke("move_segment", {**begun, "n": 0})
    assert len(json.dumps(onward["measured"])) < 512
