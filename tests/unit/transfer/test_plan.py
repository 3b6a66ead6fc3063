"""The part planner at every limit. Sizes are S3's own unless a table says otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiceway.errors import PlanError
from sluiceway.transfer.plan import (
    GIB,
    MAX_OBJECT_BYTES,
    MAX_PARTS,
    MIB,
    MIN_PART_BYTES,
    Limits,
    Plan,
    fits,
    plan_parts,
)

FUNCTION = 512 * MIB
# 30 % of 512 MiB over three buffers, in whole MiB.
LARGEST = 51 * MIB
TINY = Limits(min_part_bytes=5, max_part_bytes=1000, max_parts=10, max_single_put_bytes=1000)


def cut(plan: Plan, length: int) -> list[int]:
    """The parts a file of `length` bytes is sent in."""
    parts: list[int] = []
    while sum(parts) < length:
        parts.append(min(plan.bytes_of_part(len(parts) + 1), length - sum(parts)))
    return parts


@pytest.mark.parametrize(
    ("length", "parts"),
    [
        (0, []),
        (1, [1]),
        (MIN_PART_BYTES, [MIN_PART_BYTES]),
        (LARGEST - 1, [LARGEST - 1]),
        (LARGEST, [LARGEST]),
        (LARGEST + 1, [26 * MIB, 25 * MIB + 1]),
        (2 * LARGEST - 1, [LARGEST, LARGEST - 1]),
        (2 * LARGEST, [LARGEST, LARGEST]),
        (2 * LARGEST + 1, [35 * MIB, 35 * MIB, 32 * MIB + 1]),
        (1 * GIB, [49 * MIB] * 20 + [44 * MIB]),
    ],
)
def test_a_known_length_takes_the_fewest_parts_of_one_size(length: int, parts: list[int]) -> None:
    assert cut(plan_parts(length, memory_bytes=FUNCTION, uploaders=2), length) == parts


@pytest.mark.parametrize(
    ("memory", "uploaders", "largest"),
    [
        (128 * MIB, 2, 12 * MIB),
        (512 * MIB, 1, 76 * MIB),
        (512 * MIB, 2, 51 * MIB),
        (512 * MIB, 16, 9 * MIB),
        (10_240 * MIB, 2, 1024 * MIB),
        # Too little for three buffers in 30 %: S3's smallest part it is.
        (48 * MIB, 2, 5 * MIB),
        # Never above what one request may carry.
        (10 * 1024 * GIB, 2, 5 * GIB),
    ],
)
def test_parts_are_the_largest_whose_buffers_fit_their_share_of_memory(
    memory: int, uploaders: int, largest: int
) -> None:
    plan = plan_parts(None, memory_bytes=memory, uploaders=uploaders, max_file_bytes=GIB)
    assert plan.part_bytes == largest


@pytest.mark.parametrize(
    ("length", "part_bytes"),
    [
        (MAX_PARTS * 8 * MIB - 1, 8 * MIB),
        (MAX_PARTS * 8 * MIB, 8 * MIB),
        # One byte more would be part 10,001: the parts grow instead.
        (MAX_PARTS * 8 * MIB + 1, 9 * MIB),
    ],
)
def test_a_part_size_that_was_asked_for_grows_only_where_ten_thousand_parts_are_not_enough(
    length: int, part_bytes: int
) -> None:
    plan = plan_parts(length, memory_bytes=FUNCTION, uploaders=2, part_bytes=8 * MIB, max_file_bytes=MAX_OBJECT_BYTES)
    assert plan.part_bytes == part_bytes
    assert -(-length // plan.part_bytes) <= MAX_PARTS


@pytest.mark.parametrize("part_bytes", [0, 1, MIN_PART_BYTES - 1, 5 * GIB + 1])
def test_a_part_size_outside_s3s_limits_is_refused_with_the_limits(part_bytes: int) -> None:
    with pytest.raises(PlanError, match=rf"a part must have 5242880 to 5368709120 bytes, not {part_bytes}$"):
        plan_parts(1, memory_bytes=FUNCTION, uploaders=2, part_bytes=part_bytes)


@pytest.mark.parametrize("part_bytes", [MIN_PART_BYTES, 8 * MIB, 5 * GIB])
def test_a_part_size_within_s3s_limits_is_kept(part_bytes: int) -> None:
    assert plan_parts(GIB, memory_bytes=FUNCTION, uploaders=2, part_bytes=part_bytes).part_bytes == part_bytes


@pytest.mark.parametrize(
    ("length", "memory", "part_bytes", "text"),
    [
        (
            MAX_PARTS * LARGEST + 1,
            FUNCTION,
            None,
            "a file of 534773760001 bytes needs parts of 54525952 bytes (10000 at most); "
            "512 MiB of memory with 2 uploaders hold parts of 53477376: "
            "give the function more memory or set larger parts",
        ),
        (
            MAX_PARTS * 100 * MIB + 1,
            FUNCTION,
            100 * MIB,
            "a file of 1048576000001 bytes needs parts of 105906176 bytes (10000 at most); "
            "parts are set to 104857600: give the function more memory or set larger parts",
        ),
        (
            MAX_OBJECT_BYTES + 1,
            1024 * 1024 * GIB,
            None,
            "a file of 53687091200001 bytes exceeds the 53687091200000 that S3 takes as one object",
        ),
    ],
)
def test_a_file_that_cannot_fit_is_refused_with_both_figures(
    length: int, memory: int, part_bytes: int | None, text: str
) -> None:
    with pytest.raises(PlanError) as raised:
        plan_parts(length, memory_bytes=memory, uploaders=2, part_bytes=part_bytes)
    assert str(raised.value) == text


def test_the_largest_object_of_s3_fits_where_the_memory_does() -> None:
    plan = plan_parts(MAX_OBJECT_BYTES, memory_bytes=64 * GIB, uploaders=2)
    assert plan.part_bytes == 5 * GIB
    assert plan.bytes_of_part(MAX_PARTS) == 5 * GIB


@pytest.mark.parametrize(
    ("length", "memory", "expected"),
    [
        (0, FUNCTION, True),
        (None, FUNCTION, True),
        (MAX_PARTS * LARGEST, FUNCTION, True),
        (MAX_PARTS * LARGEST + 1, FUNCTION, False),
        (MAX_PARTS * LARGEST + 1, 4 * FUNCTION, True),
        (MAX_OBJECT_BYTES, 64 * GIB, True),
        (MAX_OBJECT_BYTES + 1, 64 * GIB, False),
    ],
)
def test_fits_tells_beforehand_whether_a_function_can_take_the_file(
    length: int | None, memory: int, expected: bool
) -> None:
    assert fits(length, memory_bytes=memory, uploaders=2) is expected


def test_past_the_last_part_the_error_says_what_helps() -> None:
    plan = plan_parts(None, memory_bytes=100, uploaders=2, part_bytes=10, max_file_bytes=100, limits=TINY)
    assert plan.bytes_of_part(10) == 10
    with pytest.raises(PlanError, match=r"more than 10 parts of up to 10 bytes; give the function more memory"):
        plan.bytes_of_part(11)


def test_an_unknown_length_starts_with_the_part_size_asked_for_and_doubles_it() -> None:
    plan = plan_parts(None, memory_bytes=FUNCTION, uploaders=2, part_bytes=8 * MIB, max_file_bytes=400 * GIB)
    sizes = [plan.bytes_of_part(number) for number in range(1, MAX_PARTS + 1)]
    assert sizes[0] == 8 * MIB
    assert sizes == sorted(sizes)
    assert set(sizes) == {8 * MIB, 16 * MIB, 32 * MIB, LARGEST}
    assert sum(sizes) >= 400 * GIB


def test_an_unknown_length_needs_no_growth_where_ten_thousand_parts_reach_the_limit() -> None:
    # One byte is kept for the part in which the end of the body is found.
    bound = MAX_PARTS * 8 * MIB - 1
    plan = plan_parts(None, memory_bytes=FUNCTION, uploaders=2, part_bytes=8 * MIB, max_file_bytes=bound)
    assert {plan.bytes_of_part(number) for number in (1, 5_000, MAX_PARTS)} == {8 * MIB}


@pytest.mark.parametrize(
    ("length", "first_part", "offset", "part_bytes"),
    [
        # As planned from the beginning, for as long as the parts left hold what is left.
        (100, 4, 30, 10),
        (100, 4, 31, 10),
        # Part 3 was cut short at 5 bytes, and 75 are left for seven parts.
        (100, 4, 25, 11),
        (100, 10, 55, 45),
        (None, 4, 30, 10),
        (None, 4, 25, 10),
    ],
)
def test_after_a_part_cut_short_the_rest_still_fits(
    length: int | None, first_part: int, offset: int, part_bytes: int
) -> None:
    plan = plan_parts(
        length, memory_bytes=1000, uploaders=2, part_bytes=10, max_file_bytes=100, limits=TINY,
        first_part=first_part, offset=offset,
    )  # fmt: skip
    assert plan.bytes_of_part(first_part) == part_bytes
    assert offset + sum(plan.bytes_of_part(number) for number in range(first_part, TINY.max_parts + 1)) >= 100


def test_where_no_part_left_is_large_enough_the_rest_is_refused() -> None:
    with pytest.raises(PlanError, match=r"a file of 100 bytes needs parts of 11 bytes \(10 at most\)"):
        plan_parts(100, memory_bytes=100, uploaders=2, part_bytes=10, limits=TINY, first_part=4, offset=25)


@given(
    bound=st.integers(0, 10_000),
    part_bytes=st.none() | st.integers(5, 1000),
    room=st.integers(0, 40_000),
    uploaders=st.integers(1, 4),
)
def test_an_unknown_length_never_meets_the_last_part_below_max_file_bytes_where_any_plan_could_avoid_it(
    bound: int, part_bytes: int | None, room: int, uploaders: int
) -> None:
    plan = plan_parts(
        None, memory_bytes=room, uploaders=uploaders, part_bytes=part_bytes, max_file_bytes=bound, limits=TINY
    )
    sizes = [plan.bytes_of_part(number) for number in range(1, TINY.max_parts + 1)]
    assert all(TINY.min_part_bytes <= size <= TINY.max_part_bytes for size in sizes)
    largest = max(plan.largest_part_bytes, part_bytes or 0)
    assert sum(sizes) >= min(bound, largest * TINY.max_parts)


@given(length=st.integers(0, 12_000), room=st.integers(0, 40_000), part_bytes=st.none() | st.integers(5, 1000))
def test_every_file_is_cut_within_s3s_limits_or_refused(length: int, room: int, part_bytes: int | None) -> None:
    try:
        plan = plan_parts(length, memory_bytes=room, uploaders=2, part_bytes=part_bytes, limits=TINY)
    except PlanError:
        largest = max(part_bytes or 0, TINY.min_part_bytes, int(room * 0.3) // 3)
        assert length > min(largest, TINY.max_part_bytes) * TINY.max_parts
        return
    parts = cut(plan, length)
    assert sum(parts) == length
    assert len(parts) <= TINY.max_parts
    assert all(TINY.min_part_bytes <= part <= TINY.max_part_bytes for part in parts[:-1])
