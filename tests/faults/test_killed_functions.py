"""SIGKILL to the process of a function, through the whole engine: the job ends as if nothing had happened.

Each test says at which byte of the source, or at which request to S3, the process dies.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.jobs import JobsClient, JobView
from cli.watch import Watch
from local.engine import Engine
from sluiceway.jobs.states import FILE_ENDS
from tests.faults.kills import Killer
from tests.support.ranges import MIB, File, RangeSource, Sending, range_source

SMALL, STAGED = 40, 12
# An invocation of 4 s moves a bit more than half of it.
SLOW = File(22 * MIB + 7, bytes_per_second=4 * MIB)
SPLIT = File(28 * MIB + 5)
FILES = {
    "/slow": SLOW,
    "/split": SPLIT,
    **{f"/small/{n}": File(1000 + n) for n in range(SMALL)},
    "/staged/large": File(13 * MIB),
    **{f"/staged/{n}": File(2000 + n) for n in range(STAGED)},
}
SETTINGS = {"process_file_timeout_seconds": "4", "split_bytes": str(10 * MIB), "part_mib": "5"}


@dataclass(frozen=True)
class Ended:
    """A job's last view and the lines of its report by the path of the source."""

    job_id: str
    view: JobView
    report: dict[str, dict[str, Any]]


@dataclass
class World:
    engine: Engine
    source: RangeSource
    killer: Killer
    jobs: JobsClient

    def run(self, prefix: str, **document: Any) -> dict[str, dict[str, Any]]:
        """The lines of the report, by path, of a job that lands every file whose path begins with `prefix`. Whatever
        was killed, all of them are there, once, and nothing else is."""
        paths = [path for path in FILES if path.startswith(prefix)]
        ended = self.submit([self.entry(path) for path in paths], **document)
        assert ended.view.state == "COMPLETED", [line for line in ended.report.values() if line["error"]]
        assert ended.report.keys() == set(paths)
        for path, line in ended.report.items():
            file, landed = FILES[path], self.on_disk(ended.job_id, path)
            assert (landed.stat().st_size, sha256_of(landed)) == (file.size, file.sha256()), path
            assert (line["status"], line["bytes"]) == ("STORED", file.size)
            assert line["sha256"] == (None if line["segments"] else file.sha256())
        staged = len(paths) if document.get("commit") else 0
        assert (ended.view.counts.staged, ended.view.counts.retry_link) == (staged, 0)
        assert ended.view.counts.bytes == sum(FILES[path].size for path in paths)
        return ended.report

    def entry(self, path: str) -> dict[str, Any]:
        return {"url": self.source.url(path), "size": FILES[path].size}

    def on_disk(self, job_id: str, path: str) -> Path:
        return self.engine.store / self.engine.outputs["LandingBucket"] / f"{job_id}{path}"

    def submit(self, entries: list[dict[str, Any]], **document: Any) -> Ended:
        """Runs a job in which somebody is killed, and checks what holds of every end."""
        job_id = f"killed-{uuid.uuid4().hex[:8]}"
        source = {"type": "urls", "files": entries}
        written = {"job_id": job_id, "source": source, "destination": {"prefix": f"{job_id}/"}, **document}
        (*_, view) = Watch(self.jobs, look_seconds=0.1).follow(self.jobs.submit(written))
        report = {line["key"].removeprefix(job_id): line for line in self.jobs.read_report(job_id)}
        assert self.killer.killed, "nobody was killed"
        assert [each.outcome for each in self.engine.reports].count("Runtime.ExitError") == 1
        states = sorted(line["status"] for line in report.values())
        assert sorted(self.states_of(job_id)) == states
        summary = self.jobs.read_summary(job_id)
        assert summary is not None
        assert summary["files"] == view.counts.files
        assert {state: states.count(state.upper()) for state in view.counts.files} == view.counts.files
        for bucket, prefix in (
            (self.engine.outputs["LandingBucket"], job_id),
            (self.jobs.jobs_bucket, f"jobs/{job_id}"),
        ):
            listed = self.jobs.s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix)
            assert listed.get("Uploads", []) == []
        return Ended(job_id, view, report)

    def states_of(self, job_id: str) -> list[str]:
        pages = self.jobs.dynamodb.get_paginator("scan").paginate(TableName=self.jobs.jobs_table)
        rows = [row for page in pages for row in page["Items"] if row["pk"]["S"].startswith(f"JOB#{job_id}#")]
        states = [row["state"]["S"] for row in rows if row["sk"]["S"].startswith("FILE#")]
        assert set(states) <= FILE_ENDS
        return states


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[RangeSource, Killer]]:
    killer = Killer()
    with range_source(FILES, killer.on_send) as source:
        yield source, killer


@pytest.fixture(scope="module")
def engine(served: tuple[RangeSource, Killer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    source, killer = served
    landed = tmp_path_factory.mktemp("landed")
    with Engine(landed, settings=SETTINGS, allowed_sources=[source.host], on_call=killer.on_call) as engine:
        killer.engine = engine
        yield engine


@pytest.fixture
def world(engine: Engine, served: tuple[RangeSource, Killer]) -> World:
    engine.reports.clear()
    jobs = JobsClient.of_stack(engine.client, engine.outputs)
    return World(engine, *served, jobs)


def in_the_middle(path: str, *, of: Callable[[int], bool] = lambda _: True) -> Callable[[Sending], bool]:
    """Once a part of `path` has gone, in an answer that began at a byte that suits `of`."""
    return lambda sending: sending.path == path and of(sending.start) and sending.offset >= sending.start + 6 * MIB


def test_a_relayed_file(world: World) -> None:
    world.killer.at_piece(in_the_middle("/slow", of=lambda start: start > 0))
    report = world.run("/slow")
    assert world.killer.killed == ["process_file"]
    assert report["/slow"]["relays"] >= 1


def test_a_file_that_is_relayed_after_its_first_function_was_killed(world: World) -> None:
    world.killer.at_piece(in_the_middle("/slow"))
    report = world.run("/slow")
    assert world.killer.killed == ["process_file"]
    assert report["/slow"]["relays"] >= 1


def test_a_segment_of_a_split_file(world: World) -> None:
    world.killer.at_piece(in_the_middle("/split", of=lambda start: start == 10 * MIB))
    report = world.run("/split", split="crc")
    assert world.killer.killed == ["move_segment"]
    assert report["/split"]["segments"] == 3
    # Of the segment whose function was killed counts the invocation after it, which relayed and resumed nothing.
    assert (report["/split"]["relays"], report["/split"]["source_resumes"]) == (0, 0)
    measures = ("seconds", "source_wait_seconds", "sink_wait_seconds", "hash_seconds", "peak_memory_bytes")
    assert all(report["/split"][name] > 0 for name in measures)
    assert "s3:crc64nvme" in report["/split"]["verified_by"]


def test_a_batch_of_small_files(world: World) -> None:
    world.killer.at_piece(lambda sending: sending.path == "/small/25")
    world.run("/small")
    assert world.killer.killed == ["process_file"]


def test_the_staging_of_an_all_or_nothing_job(world: World) -> None:
    world.killer.at_piece(in_the_middle("/staged/large"))
    world.run("/staged", commit="all-or-nothing")
    assert world.killer.killed == ["process_file"]


def test_the_commit_of_an_all_or_nothing_job(world: World) -> None:
    completed: list[str] = []

    def third(call: Any) -> bool:
        if call.caller == "commit_files" and call.method == "POST" and "uploadId" in call.query:
            completed.append(call.path)
        return len(completed) == 3

    world.killer.at_call(third)
    world.run("/staged", commit="all-or-nothing")
    assert world.killer.killed == ["commit_files"]
    assert len(completed) >= 3


@pytest.mark.parametrize("step", ["start_export", "dispatch_files", "complete_job"])
def test_a_step_of_the_job_itself_before_its_first_object_is_whole(world: World, step: str) -> None:
    world.killer.at_call(lambda call: (call.caller, call.service, call.method) == (step, "s3", "PUT"))
    world.run("/small/1")
    assert world.killer.killed == [step]


def test_a_file_that_is_rejected_in_the_end(world: World) -> None:
    world.killer.at_piece(in_the_middle("/staged/large"))
    ended = world.submit([world.entry("/staged/0"), world.entry("/staged/large") | {"sha256": "0" * 64}])
    assert world.killer.killed == ["process_file"]
    assert ended.view.state == "COMPLETED_WITH_FAILURES"
    assert ended.report["/staged/large"]["error"]["type"] == "DigestMismatchError"
    assert not world.on_disk(ended.job_id, "/staged/large").exists()


def test_an_all_or_nothing_job_with_a_bad_file(world: World) -> None:
    world.killer.at_piece(in_the_middle("/staged/large"))
    paths = [path for path in FILES if path.startswith("/staged")]
    bad = world.entry("/staged/3") | {"sha256": "0" * 64}
    entries = [bad if path == "/staged/3" else world.entry(path) for path in paths]
    ended = world.submit(entries, commit="all-or-nothing")
    assert world.killer.killed == ["process_file"]
    assert ended.view.state == "FAILED"
    assert not any(world.on_disk(ended.job_id, path).exists() for path in paths)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
