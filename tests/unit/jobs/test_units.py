"""Packing manifest lines into units, and reading them back by byte range."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiceway.jobs.files import FileTask
from sluiceway.jobs.units import Unit, UnitPacker, read_tasks

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
tasks = st.builds(
    FileTask,
    url=text,
    bucket=text,
    key=text,
    size=st.none() | st.integers(0, 2**50),
    digests=st.dictionaries(st.sampled_from(["md5", "sha256"]), text),
    headers_secret=st.none() | text,
    n=st.integers(0, 10**6),
)


def pack(lines: list[bytes], batch_files: int) -> list[Unit]:
    packer = UnitPacker("m", batch_files)
    units = [packer.feed(len(line)) for line in lines] + [packer.finish()]
    return [unit for unit in units if unit is not None]


@given(st.lists(tasks, max_size=12), st.integers(1, 5))
def test_the_units_ranges_hold_every_task_once_and_in_order(listed: list[FileTask], batch_files: int) -> None:
    lines = [task.to_line() for task in listed]
    manifest = b"".join(lines)

    units = pack(lines, batch_files)

    read = [list(read_tasks(manifest[u.offset : u.offset + u.length].splitlines())) for u in units]
    assert [task for unit in read for task in unit] == listed
    assert [len(unit) for unit in read] == [unit.count for unit in units]
    assert all(unit.count <= batch_files for unit in units)


@pytest.mark.parametrize(
    ("batch_files", "expected"),
    [
        (1, [(0, 3, 1), (3, 4, 1), (7, 5, 1)]),
        (2, [(0, 7, 2), (7, 5, 1)]),
        (3, [(0, 12, 3)]),
        (9, [(0, 12, 3)]),
    ],
)
def test_units_by_batch_size(batch_files: int, expected: list[tuple[int, int, int]]) -> None:
    units = pack([b"aa\n", b"bbb\n", b"cccc\n"], batch_files)
    assert [(unit.offset, unit.length, unit.count) for unit in units] == expected


def test_no_lines_no_units() -> None:
    assert pack([], 1) == []


def test_a_unit_is_the_maps_item() -> None:
    expected = {"manifest_key": "m", "offset": 7, "length": 5, "count": 1}
    assert json.loads(Unit("m", 7, 5, 1).to_json()) == expected
