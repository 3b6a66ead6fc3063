"""Past one invocation, past one function, many files to one: `sluiceway run` with functions that have little time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Ended, sluiceway
from tests.support.ranges import MIB, File, RangeSource, range_source

SMALL = 60
FILES = {
    # 12 s at this pace, and functions have 6.
    "/slow.bin": File(36 * MIB + 1, bytes_per_second=3 * MIB),
    "/large.bin": File(48 * MIB + 5),
    **{f"/small/{n}": File(1000 + n) for n in range(SMALL)},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("scale")
    with range_source(FILES) as source:
        (folder / "job.json").write_text(json.dumps(document(source)))
        settings = ("process_file_timeout_seconds=6", f"split_bytes={12 * MIB}", "part_mib=5", f"batch_bytes={MIB}")
        ended = sluiceway(
            "run",
            folder / "job.json",
            "--json",
            *("--allow-source", source.host),
            *(argument for setting in settings for argument in ("--set", setting)),
            cwd=folder,
        )
    return ended, folder


def document(source: RangeSource) -> dict[str, Any]:
    small = [{"url": source.url(path), "size": file.size} for path, file in FILES.items() if "small" in path]
    large = {"url": source.url("/large.bin"), "split": "crc"}
    refused = {
        "url": source.url("/large.bin"),
        "key": "whole.bin",
        "split": "crc",
        "sha256": FILES["/large.bin"].sha256(),
    }
    files = [source.url("/slow.bin"), large, refused, *small]
    return {"job_id": "scale", "source": {"type": "urls", "files": files}}


@pytest.fixture
def report(run: tuple[Ended, Path]) -> dict[str, dict[str, Any]]:
    ended, folder = run
    assert ended.code == 0, ended.stderr
    lines = (folder / ended.json["outputs"] / "report.jsonl").read_text().splitlines()
    return {line["key"]: line for line in map(json.loads, lines)}


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_every_file_is_identical_to_its_source(run: tuple[Ended, Path], report: dict[str, dict[str, Any]]) -> None:
    _, folder = run
    landed = folder / "landed" / "landing"
    for path, file in FILES.items():
        assert sha256_of(landed / path.lstrip("/")) == file.sha256(), path


def test_a_slow_file_goes_on_in_the_next_invocation_with_the_same_digest(report: dict[str, dict[str, Any]]) -> None:
    assert report["slow.bin"]["relays"] >= 2
    assert report["slow.bin"]["sha256"] == FILES["/slow.bin"].sha256()


def test_a_large_file_is_moved_in_segments_and_verified_by_its_crc(report: dict[str, dict[str, Any]]) -> None:
    assert report["large.bin"]["segments"] == 5
    assert report["large.bin"]["sha256"] is None
    assert report["large.bin"]["verified_by"] == ["s3:crc64nvme"]


def test_a_file_in_segments_tells_what_it_took_as_a_whole_one_does(report: dict[str, dict[str, Any]]) -> None:
    for line in (report["large.bin"], report["whole.bin"]):
        waits = line["source_wait_seconds"], line["sink_wait_seconds"], line["hash_seconds"]
        assert line["seconds"] > sum(waits) and min(waits) > 0, line["key"]
        assert line["peak_memory_bytes"] > 10 * MIB
    assert (report["large.bin"]["relays"], report["large.bin"]["source_resumes"]) == (0, 0)


def test_a_file_with_a_sha256_is_not_split_and_the_report_says_why(report: dict[str, dict[str, Any]]) -> None:
    assert report["whole.bin"]["segments"] == 0
    assert report["whole.bin"]["reason"] == "not split: its sha256 can only be taken over the bytes in order"
    assert "caller:sha256" in report["whole.bin"]["verified_by"]


def test_small_files_share_a_function(run: tuple[Ended, Path], report: dict[str, dict[str, Any]]) -> None:
    ended, folder = run
    units = json.loads((folder / ended.json["outputs"] / "units.json").read_text())
    assert sorted(unit["count"] for unit in units) == [1, 1, 1, SMALL]
    assert sum(key.startswith("small/") for key in report) == SMALL
