"""The part checksum S3 verifies: values, and how those of neighbouring parts become the whole object's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiceway.transfer.checksum import PART_CHECKSUMS, PartChecksum, PartSums

KINDS = {name: checksum for name, checksum in PART_CHECKSUMS.items() if checksum is not None}


def test_the_setting_names_two_checksums_and_none() -> None:
    assert set(PART_CHECKSUMS) == {"crc64nvme", "crc32", "none"}
    assert PART_CHECKSUMS["none"] is None


@pytest.mark.parametrize(
    ("name", "spelled", "encoded"),
    # The catalogue's check values cbf43926 and ae8b14860a799888, in base64 as x-amz-checksum-* carries them.
    [("crc32", "CRC32", "y/Q5Jg=="), ("crc64nvme", "CRC64NVME", "rosUhgp5mIg=")],
)
def test_a_value_is_encoded_as_the_headers_of_s3_carry_it(name: str, spelled: str, encoded: str) -> None:
    checksum = KINDS[name]
    assert checksum.name == spelled
    assert checksum.encode(checksum.of(memoryview(b"123456789"), 0)) == encoded


@pytest.mark.parametrize("checksum", KINDS.values(), ids=KINDS)
def test_a_small_value_keeps_its_leading_zeros(checksum: PartChecksum) -> None:
    assert len(checksum.encode(0)) == -(-checksum.width // 3) * 4


@pytest.mark.parametrize("checksum", KINDS.values(), ids=KINDS)
@given(parts=st.lists(st.binary(max_size=200), max_size=6))
def test_the_combined_value_of_all_parts_is_that_of_the_whole(checksum: PartChecksum, parts: list[bytes]) -> None:
    combined = 0
    for part in parts:
        combined = checksum.combine(combined, checksum.of(memoryview(part), 0), len(part))
    assert combined == checksum.of(memoryview(b"".join(parts)), 0)


@pytest.mark.parametrize("checksum", KINDS.values(), ids=KINDS)
@given(
    parts=st.lists(st.binary(max_size=200), min_size=1, max_size=6).flatmap(
        lambda parts: st.tuples(st.just(parts), st.permutations(range(len(parts))), st.integers(0, len(parts)))
    )
)
def test_parts_taken_in_any_order_and_by_two_invocations_make_the_whole(
    checksum: PartChecksum, parts: tuple[list[bytes], list[int], int]
) -> None:
    bodies, order, stop = parts
    begin = checksum.of(memoryview(b"".join(bodies[:stop])), 0)
    sums = PartSums(checksum, begin)
    for n in order:
        if n >= stop:
            assert sums.take(n + 1, memoryview(bodies[n])) == checksum.encode(checksum.of(memoryview(bodies[n]), 0))
    whole = checksum.of(memoryview(b"".join(bodies)), 0)
    assert (sums.whole(), sums.encoded()) == (whole, checksum.encode(whole))


def test_without_a_checksum_nothing_is_taken() -> None:
    sums = PartSums(None)
    assert (sums.take(1, memoryview(b"part")), sums.whole(), sums.encoded()) == (None, 0, None)
