"""A job that is stopped while a file of it is split, through the whole engine: its functions stop asking the source
within seconds, the file is CANCELLED, and nothing of it stays. And a host's slots bound the segments too."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from cli.jobs import JobsClient, JobView, Submitted
from cli.watch import Watch
from local.engine import Engine
from sluiceway.aws.table import JobTable
from tests.support.answers import Answers
from tests.support.ranges import MIB, File, RangeSource, range_source
from tests.support.waiting import wait_until

# A segment of it takes 40 s, and a part half of that.
SLOW = File(60 * MIB + 5, bytes_per_second=MIB // 4)
QUICK = File(60 * MIB + 5, bytes_per_second=40 * MIB)
SEGMENT = 10 * MIB
SETTINGS = {"split_bytes": str(SEGMENT), "part_mib": "5"}
# A function looks at its job every 5 s.
STOPS_WITHIN_SECONDS = 15.0


@dataclass
class World:
    engine: Engine
    source: RangeSource
    answers: Answers
    jobs: JobsClient

    def start(self, path: str, **limits: float) -> tuple[str, Submitted]:
        job_id = f"stopped-{uuid.uuid4().hex[:8]}"
        listed = {"type": "urls", "files": [self.source.url(path)]}
        destination = {"prefix": f"{job_id}/"}
        document = {"job_id": job_id, "source": listed, "destination": destination, "split": "crc", "limits": limits}
        return job_id, self.jobs.submit(document)

    def is_split(self) -> bool:
        return self.answers.now() >= 4

    def check_end(self, submitted: Submitted, stopped_at: float) -> tuple[JobView, dict[str, Any]]:
        """The job's last view and the file's line of the report."""
        (*_, view) = Watch(self.jobs, look_seconds=0.1).follow(submitted)
        wait_until(lambda: self.answers.now() == 0)
        assert max(self.answers.last.values()) - stopped_at < STOPS_WITHIN_SECONDS
        (line,) = self.jobs.read_report(view.job_id)
        assert (line["status"], view.counts.cancelled) == ("CANCELLED", 1)
        bucket = self.engine.outputs["LandingBucket"]
        wait_until(lambda: not self.jobs.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []))
        assert not (self.engine.store / bucket / view.job_id).exists()
        return view, line


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[RangeSource, Answers]]:
    answers = Answers(QUICK.size, SEGMENT)
    with range_source({"/slow": SLOW, "/quick": QUICK}, answers.on_send) as source:
        yield source, answers


@pytest.fixture(scope="module")
def engine(served: tuple[RangeSource, Answers], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    source, _ = served
    with Engine(tmp_path_factory.mktemp("landed"), settings=SETTINGS, allowed_sources=[source.host]) as engine:
        yield engine


@pytest.fixture
def world(engine: Engine, served: tuple[RangeSource, Answers]) -> World:
    source, answers = served
    engine.reports.clear()
    answers.clear()
    return World(engine, source, answers, JobsClient.of_stack(engine.client, engine.outputs))


def test_a_cancelled_job(world: World) -> None:
    job_id, submitted = world.start("/slow")
    wait_until(world.is_split)
    stopped_at = time.monotonic()
    JobTable(world.jobs.dynamodb, world.jobs.jobs_table).request_cancel(job_id)

    view, line = world.check_end(submitted, stopped_at)

    assert (view.state, line["reason"]) == ("CANCELLED", "the job was cancelled")
    assert {report.outcome for report in world.engine.reports} == {"ok"}


def test_a_job_past_its_deadline(world: World) -> None:
    began = time.monotonic()
    _, submitted = world.start("/slow", deadline_minutes=0.25)
    wait_until(world.is_split)

    view, line = world.check_end(submitted, began + 15)

    assert (view.state, line["reason"]) == ("FAILED", "the job's deadline passed before this file had landed")
    assert {report.outcome for report in world.engine.reports} == {"ok"}


def test_a_stopped_execution(world: World) -> None:
    _, submitted = world.start("/slow")
    wait_until(world.is_split)
    stopped_at = time.monotonic()
    world.jobs.stepfunctions.stop_execution(executionArn=submitted.execution)

    view, _ = world.check_end(submitted, stopped_at)

    assert view.state == "CANCELLED"


def test_a_host_with_two_slots(world: World) -> None:
    _, submitted = world.start("/quick", max_concurrency_per_host=2)

    (*_, view) = Watch(world.jobs, look_seconds=0.1).follow(submitted)

    assert view.state == "COMPLETED"
    assert world.answers.most == 2
