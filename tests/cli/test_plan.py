"""`sluiceway plan`: what it counts, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.load import load
from cli.plan import Survey, plan
from infra.settings import Settings
from sluiceway.cost import Machine, Prices, files_cost, job_cost, split_cost
from tests.support.commands import sluiceway

MIB, GIB, TB = 1024**2, 1024**3, 10**12


def entry(n: int, size: int | None, **more: Any) -> dict[str, Any]:
    return {"url": f"https://files.example/{n}", **({} if size is None else {"size": size}), **more}


def survey(tmp_path: Path, entries: list[dict[str, Any]], *, settings: str = "", **job: Any) -> Survey:
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"source": {"type": "urls", "files": entries}, **job}))
    loaded = load(str(path))
    assert loaded.is_listed_here
    return Survey(loaded.job, Settings.parse(dict(each.split("=") for each in settings.split())), loaded.tasks())


def test_small_files_share_invocations_as_dispatch_files_packs_them(tmp_path: Path) -> None:
    found = survey(tmp_path, [entry(n, 10) for n in range(401)] + [entry(999, 64 * MIB - 1)])
    assert (found.ways.files, found.ways.batched, found.ways.batches) == (402, 402, 4)
    assert found.ways.bytes == 401 * 10 + 64 * MIB - 1


@pytest.mark.parametrize(
    ("size", "more", "way"),
    [
        (None, {}, "unknown"),
        (64 * MIB - 1, {}, "batched"),
        (64 * MIB, {}, "single"),
        (5 * GIB, {}, "single"),
        (5 * GIB, {"split": "crc"}, "split"),
        (5 * GIB, {"split": "crc", "crc32c": "AAAAAA=="}, "split"),
        (5 * GIB, {"split": "crc", "sha256": "0" * 64}, "single"),
        (2 * GIB, {"split": "crc"}, "single"),
        (TB, {}, "large"),
        (TB, {"split": "crc"}, "split"),
        (9 * TB, {}, "refused"),
        (7 * TB, {}, "impossible"),
        (GIB, {"url": "http://files.example/plain"}, "forbidden"),
    ],
)
def test_each_file_goes_its_way(tmp_path: Path, size: int | None, more: dict[str, Any], way: str) -> None:
    found = survey(tmp_path, [entry(0, size, **more)], limits={"max_file_bytes": 8 * TB})
    names = ("unknown", "batched", "single", "split", "large", "refused", "impossible", "forbidden")
    counts = {name: getattr(found.ways, name) for name in names}
    assert counts == dict.fromkeys(counts, 0) | {way: 1}


@pytest.mark.parametrize(
    ("settings", "job"),
    [("part_checksum=none", {}), ("", {"commit": "all-or-nothing"}), ("split_bytes=6000000000", {})],
)
def test_what_keeps_files_from_being_split(tmp_path: Path, settings: str, job: dict[str, Any]) -> None:
    found = survey(tmp_path, [entry(0, 5 * GIB)], settings=settings, split="crc", **job)
    assert (found.ways.split, found.ways.single) == (0, 1)


def test_the_cost_is_that_of_the_cost_function(tmp_path: Path) -> None:
    small, single = [entry(n, 1000 * (n % 3)) for n in range(300)], [entry(1000, GIB), entry(1001, None)]
    found = survey(tmp_path, small + single)
    assert found.cost == job_cost([(1, GIB), (300, 1000)])


def test_a_large_file_costs_what_the_function_with_more_memory_does(tmp_path: Path) -> None:
    found = survey(tmp_path, [entry(0, TB)], limits={"max_file_bytes": TB})
    assert found.cost == job_cost([]) + files_cost(1, TB, Machine(memory_mb=5120), Prices())


def test_a_split_file_costs_what_its_segments_do(tmp_path: Path) -> None:
    found = survey(tmp_path, [entry(0, 3 * GIB)], settings="split_bytes=268435456", split="crc")
    assert (found.ways.split, found.ways.segments) == (1, 12)
    # ProcessFile, FinishFile, and the job's own four.
    assert found.cost.invocations == 12 + 2 + 4
    assert found.cost == job_cost([]) + split_cost(3 * GIB, parts=192, segments=12, machine=Machine(), prices=Prices())


def test_files_of_mixed_sizes_cost_as_many_invocations_as_they_are_packed_into(tmp_path: Path) -> None:
    found = survey(tmp_path, [entry(n, 40 * MIB) for n in range(10)] + [entry(n, 10) for n in range(10, 110)])
    assert found.ways.batches == 10
    assert found.cost.invocations == 10 + 4


def test_files_that_will_not_be_moved_cost_nothing(tmp_path: Path) -> None:
    files = [entry(0, 9 * TB), entry(1, 7 * TB), entry(2, GIB, url="http://files.example/plain"), entry(3, None)]
    assert survey(tmp_path, files, limits={"max_file_bytes": 8 * TB}).cost == job_cost([])


def test_hosts_that_the_settings_allow_are_permitted(tmp_path: Path) -> None:
    files = [entry(0, GIB, url="http://files.example/plain")]
    assert survey(tmp_path, files, settings="allowed_sources=files.example").ways.single == 1


def test_settings_count(tmp_path: Path) -> None:
    found = survey(tmp_path, [entry(n, 10) for n in range(10)], settings="batch_files=3")
    assert found.ways.batches == 4


def test_a_person_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "files.csv"
    path.write_text(
        "url,size\nhttps://files.example/a,12\nhttps://files.example/b,\nhttps://files.example/c,6000000000\n"
    )
    assert plan(str(path), [], as_json=False) == 0
    first, *ways, last = capsys.readouterr().out.splitlines()
    assert "is valid: 3 files, 6.0 GB by the sizes that are stated." in first
    assert [way.split()[0] for way in ways] == ["1", "1", "1"]
    assert "in 1 batch" in ways[0] and "of unknown size" in ways[1] and "max_file_bytes" in ways[2]
    assert last.startswith("On AWS about USD 0.00")


def test_a_list_that_is_elsewhere_is_not_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan("s3://jobs/requests/files.csv", [], as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["files"]) == ("VALID", None)
    assert plan("s3://jobs/requests/files.csv", [], as_json=False) == 0
    assert "once its list has been read" in capsys.readouterr().out


def test_every_mistake_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("https://files.example/a\nftp://files.example/b\nnot a link\n")
    ended = sluiceway("plan", "urls.txt", "--json", cwd=tmp_path)
    assert (ended.code, ended.json["status"]) == (2, "INVALID")
    assert ended.stderr.count("\n") >= 3
    assert [path.name for path in tmp_path.iterdir()] == ["urls.txt"]
    wrong = sluiceway("plan", "urls.txt", "--set", "batch_files=0", cwd=tmp_path)
    assert wrong.code == 2


def test_the_command_prints_one_object(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("https://files.example/a\n")
    ended = sluiceway("plan", "urls.txt", "--json", cwd=tmp_path)
    assert ended.code == 0
    assert ended.json["unknown"] == 1
    assert ended.json["estimate"].keys() == {"usd", "invocations", "transitions"}
