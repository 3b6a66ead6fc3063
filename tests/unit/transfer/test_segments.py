"""Cutting a large file into segments, and putting their CRCs together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiceway.transfer.digest import new_hash
from sluiceway.transfer.plan import GIB, MIB
from sluiceway.transfer.segments import COMBINABLE, Segment, SegmentSum, combine, plan_segments


@given(
    length=st.integers(1, 5000),
    part=st.integers(1, 60),
    segment=st.integers(1, 300),
    most=st.integers(1, 50),
)
def test_segments_cover_the_file_without_gap_or_overlap(length: int, part: int, segment: int, most: int) -> None:
    segments = plan_segments(length, part, segment_bytes=segment, max_segments=most)
    assert 1 <= len(segments) <= most
    at, number = 0, 1
    for n, each in enumerate(segments):
        assert (each.n, each.offset, each.first_part) == (n, at, number)
        assert (each.parts - 1) * part < each.length <= each.parts * part
        assert each is segments[-1] or each.length == each.parts * part
        at, number = at + each.length, number + each.parts
    assert at == length


@pytest.mark.parametrize(
    ("length", "part", "count", "parts"),
    [
        (1, 48 * MIB, 1, 1),
        (3 * GIB, 48 * MIB, 13, 64),
        (256 * MIB, 32 * MIB, 1, 8),
        (256 * MIB + 1, 32 * MIB, 2, 9),
        (5000 * GIB, 512 * MIB, 400, 10_000),
    ],
)
def test_counts(length: int, part: int, count: int, parts: int) -> None:
    segments = plan_segments(length, part)
    assert len(segments) == count
    assert segments[-1].first_part + segments[-1].parts - 1 == parts


def test_a_segment_says_where_it_lies() -> None:
    assert plan_segments(25, 5, segment_bytes=10) == [
        Segment(0, 0, 10, 1, 2),
        Segment(1, 10, 10, 3, 2),
        Segment(2, 20, 5, 5, 1),
    ]


@given(pieces=st.lists(st.binary(max_size=200), min_size=1, max_size=8))
def test_combined_crcs_are_those_of_the_whole(pieces: list[bytes]) -> None:
    def crc(name: str, data: bytes) -> int:
        digest = new_hash(name)
        digest.update(memoryview(data))
        return int(digest.hexdigest(), 16)

    whole = combine([SegmentSum(len(piece), {name: crc(name, piece) for name in COMBINABLE}) for piece in pieces])
    data = b"".join(pieces)
    assert whole == SegmentSum(len(data), {name: crc(name, data) for name in COMBINABLE})
