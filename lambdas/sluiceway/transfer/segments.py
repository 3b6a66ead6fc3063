"""How one large file is moved by several functions at once, and how their sums become the file's.

Knows segments (ranges of a file and of part numbers) and the combining of CRCs. SHA and MD5 cannot be combined, so a
split file is verified by CRC alone. Refuses to know who moves a segment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from awscrt import checksums

from sluiceway.transfer.plan import MIB

# DESIGN: at most so many, so that a file's execution stays far below 25,000 events.
MAX_SEGMENTS = 400
# Step Functions runs at most 40 items of an inline Map at once.
MAX_AT_ONCE = 40
# Long enough that starting a function is nothing beside it, short enough to end in one invocation.
SEGMENT_BYTES = 256 * MIB
# Parts of a split file, up to 167 GB; of a larger one larger, that there are no more than 10,000. A segment pauses only
# between two parts, so one must come through within an invocation, however many connections share the source: with 40
# of them, one that gives 1 MB/s in all still gets on. 51 MiB, which 512 MB could hold, are USD 0.23 a TiB cheaper.
PART_BYTES = 16 * MIB

# What can be computed piecewise: combine(first, second, bytes of the second).
COMBINABLE: Mapping[str, Callable[[int, int, int], int]] = {
    "crc32": checksums.combine_crc32,
    "crc32c": checksums.combine_crc32c,
    "crc64nvme": checksums.combine_crc64nvme,
}


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes `offset` to `offset` + `length` of the file, as parts `first_part` to `first_part` + `parts` - 1."""

    n: int
    offset: int
    length: int
    first_part: int
    parts: int


def plan_segments(
    length: int, part_bytes: int, *, segment_bytes: int = SEGMENT_BYTES, max_segments: int = MAX_SEGMENTS
) -> list[Segment]:
    """Cuts a file of `length` bytes (at least 1) into segments of whole parts: about `segment_bytes` each, more where
    the file would need more than `max_segments`. Part numbers run on without a gap, as S3 demands of an upload with
    whole-object checksums."""
    parts = -(-length // part_bytes)
    parts_each = max(1, segment_bytes // part_bytes, -(-parts // max_segments))
    segments: list[Segment] = []
    for n, first in enumerate(range(0, parts, parts_each)):
        offset = first * part_bytes
        count = min(parts_each, parts - first)
        segments.append(Segment(n, offset, min(count * part_bytes, length - offset), first + 1, count))
    return segments


@dataclass(frozen=True, slots=True)
class SegmentSum:
    """What moving a segment gave: its bytes and its CRCs as integers, by algorithm."""

    bytes: int
    crcs: Mapping[str, int]


def combine(sums: Sequence[SegmentSum]) -> SegmentSum:
    """The sum of the whole file from those of its segments, in order. The CRCs are those that all of them have."""
    names = set.intersection(*(set(each.crcs) for each in sums)) if sums else set[str]()
    total, crcs = 0, dict.fromkeys(names, 0)
    for each in sums:
        total += each.bytes
        crcs = {name: COMBINABLE[name](value, each.crcs[name], each.bytes) for name, value in crcs.items()}
    return SegmentSum(total, crcs)
