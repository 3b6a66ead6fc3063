"""Packing manifest lines into units, and reading them back by byte range."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiceway.jobs.files import FileTask
from sluiceway.jobs.units import Unit, UnitPacker, is_batched, read_tasks

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
tasks = st.builds(
    FileTask,
    url=text,
    bucket=text,
    key=text,
    size=st.integers(0, 99),
    digests=st.dictionaries(st.sampled_from(["md5", "sha256"]), text),
    headers_secret=st.none() | text,
    n=st.integers(0, 10**6),
)


def pack(lines: list[tuple[bytes, int]], batch_files: int, batch_bytes: int) -> list[Unit]:
    packer = UnitPacker("m", batch_files, batch_bytes)
    units = [packer.feed(len(line), size) for line, size in lines] + [packer.finish()]
    return [unit for unit in units if unit is not None]


@given(st.lists(tasks, max_size=12), st.integers(1, 5), st.integers(100, 400))
def test_the_units_ranges_hold_every_task_once_and_in_order(
    listed: list[FileTask], batch_files: int, batch_bytes: int
) -> None:
    lines = [(task.to_line(), task.size or 0) for task in listed]
    manifest = b"".join(line for line, _ in lines)

    units = pack(lines, batch_files, batch_bytes)

    read = [list(read_tasks(manifest[u.offset : u.offset + u.length].splitlines())) for u in units]
    assert [task for unit in read for task in unit] == listed
    assert [len(unit) for unit in read] == [unit.count for unit in units]
    assert all(unit.count <= batch_files for unit in units)
    assert all(sum(task.size or 0 for task in unit) <= batch_bytes for unit in read)


LINES = [(b"aa\n", 10), (b"bbb\n", 20), (b"cccc\n", 30)]


@pytest.mark.parametrize(
    ("batch_files", "batch_bytes", "expected"),
    [
        (1, 99, [(0, 3, 1), (3, 4, 1), (7, 5, 1)]),
        (2, 99, [(0, 7, 2), (7, 5, 1)]),
        (3, 99, [(0, 12, 3)]),
        (9, 60, [(0, 12, 3)]),
        (9, 59, [(0, 7, 2), (7, 5, 1)]),
        (9, 30, [(0, 7, 2), (7, 5, 1)]),
    ],
)
def test_units_by_batch_size(batch_files: int, batch_bytes: int, expected: list[tuple[int, int, int]]) -> None:
    units = pack(LINES, batch_files, batch_bytes)
    assert [(unit.offset, unit.length, unit.count) for unit in units] == expected


def test_no_lines_no_units() -> None:
    assert pack([], 1, 1) == []


@pytest.mark.parametrize(("size", "expected"), [(None, False), (0, True), (99, True), (100, False), (10**12, False)])
def test_only_files_known_to_be_small_share_a_unit(size: int | None, expected: bool) -> None:
    assert is_batched(size, 100) is expected


def test_a_unit_is_the_maps_item() -> None:
    expected = {"manifest_key": "m", "offset": 7, "length": 5, "count": 1}
    assert json.loads(Unit("m", 7, 5, 1).to_json()) == expected
