"""Large files through the whole engine: one that outlasts its functions, and one that several move at once. Prints what
they took. Too long for every day: `make soak`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.jobs import JobsClient
from cli.watch import Watch
from local.engine import Engine
from sluiceway.transfer.checksum import CRC64NVME
from tests.support.answers import Answers
from tests.support.ranges import MIB, File, RangeSource, range_source

GIB = 1024 * MIB
# 20 MB/s: functions of 15 s take three for it.
SLOW = File(600 * MIB, bytes_per_second=20e6)
LARGE = File(3 * GIB, bytes_per_second=60e6)
SPLIT_BYTES = 256 * MIB
# Three parts of 51 MiB, and what Python and its libraries take.
MOST_MB = 260
# Of a function's memory, from one invocation of a file to the next.
FLAT = 1.15


@dataclass
class Ended:
    """A job of one file: its line of the report, the seconds it lasted, what the functions that moved it had in memory
    at most, invocation by invocation, and the object."""

    line: dict[str, Any]
    seconds: float
    peaks_mb: list[float]
    landed: Path
    head: dict[str, Any]


@contextmanager
def ended(folder: Path, source: RangeSource, settings: dict[str, str], mover: str, **document: Any) -> Iterator[Ended]:
    with Engine(folder, settings=settings, allowed_sources=[source.host]) as engine:
        jobs = JobsClient.of_stack(engine.client, engine.outputs)
        (path,) = source.files
        listed = {"type": "urls", "files": [source.url(path)]}
        submitted = jobs.submit({"job_id": "large", "source": listed, **document})
        (*_, view) = Watch(jobs, look_seconds=0.5).follow(submitted)
        assert view.state == "COMPLETED"
        summary, (line,) = jobs.read_summary("large"), jobs.read_report("large")
        assert summary is not None
        bucket = engine.outputs["LandingBucket"]
        assert jobs.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
        head = jobs.s3.head_object(Bucket=bucket, Key=path[1:], ChecksumMode="ENABLED")
        peaks = [each.max_memory_mb for each in engine.reports if mover in each.function]
        yield Ended(line, summary["seconds"], peaks, engine.store / bucket / path[1:], head)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def crc64nvme_of(file: File) -> str:
    crc = 0
    for block in file.blocks():
        crc = CRC64NVME.of(block, crc)
    return CRC64NVME.encode(crc)


def show(what: str, found: Ended, **more: Any) -> None:
    names = ("bytes", "parts", "relays", "segments", "seconds", "source_wait_seconds", "peak_memory_bytes")
    told = {name: found.line[name] for name in names}
    print(json.dumps({"file": what, **told, "job_seconds": found.seconds, "peaks_mb": found.peaks_mb, **more}))


def test_a_file_that_outlasts_its_functions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"process_file_timeout_seconds": "15"}
    with range_source({"/slow": SLOW}) as source, ended(tmp_path, source, settings, "ProcessFile") as found:
        with capsys.disabled():
            show("600 MiB at 20 MB/s, 15 s an invocation", found)
        assert found.line["relays"] >= 2
        assert found.line["sha256"] == SLOW.sha256() == sha256_of(found.landed)
        assert found.head["ChecksumCRC64NVME"] == crc64nvme_of(SLOW)
        assert len(found.peaks_mb) == found.line["relays"] + 1
        assert max(found.peaks_mb) < MOST_MB
        # The last may have less than three parts left to fill.
        assert max(found.peaks_mb) < FLAT * min(found.peaks_mb[:-1])


def test_a_file_that_several_functions_move_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = Answers(LARGE.size, SPLIT_BYTES)
    settings = {"split_bytes": str(SPLIT_BYTES)}
    with (
        range_source({"/large": LARGE}, answers.on_send) as source,
        ended(tmp_path, source, settings, "MoveSegment", split="crc") as found,
    ):
        with capsys.disabled():
            show("3 GiB in segments of 256 MiB", found, at_once=answers.most)
        segments = LARGE.size // SPLIT_BYTES
        assert (found.line["segments"], len(found.peaks_mb)) == (segments, segments + found.line["relays"])
        # The seconds of all its functions are more than the job has lasted.
        assert found.line["seconds"] > 1.5 * found.seconds
        assert answers.most > 1
        assert found.line["verified_by"] == ["s3:crc64nvme"]
        assert found.head["ChecksumCRC64NVME"] == crc64nvme_of(LARGE)
        assert found.head["ChecksumType"] == "FULL_OBJECT"
        assert sha256_of(found.landed) == LARGE.sha256()
        assert max(found.peaks_mb) < MOST_MB
