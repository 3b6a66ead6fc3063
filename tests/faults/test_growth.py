"""A file of many parts, broken in its midst: the memory it takes is that of three parts, however large it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.faults.certificates import Certificates
from tests.faults.harness import BIG, PART, STORED, Row, run
from tests.faults.source import MIB, File, cut, serve
from tests.faults.store import Fault, lose_reply, refuse

# Half of the file: whoever holds it once, or a copy of every part, is beyond.
LIMIT_BYTES = 30 * MIB


@pytest.fixture(scope="module")
def long() -> File:
    return File((BIG.body * 6)[: 12 * PART])


@pytest.mark.parametrize("case", ["whole", "cut into pieces", "replies lost", "wrong"])
def test_a_file_takes_the_memory_of_its_parts_in_flight(
    long: File, case: str, landed: Path, certificates: Certificates
) -> None:
    row = {
        "whole": Row(case, (STORED, None), [serve(long)], long),
        "cut into pieces": Row(case, (STORED, None), [cut(long, 17 * MIB), serve(long, chunk=MIB)], long),
        "replies lost": Row(
            case,
            (STORED, None),
            [serve(long)],
            long,
            lambda _: [
                Fault("part-3", lose_reply),
                Fault("part-7", refuse(503, "SlowDown"), 2),
                Fault("complete", lose_reply),
            ],
        ),
        "wrong": Row(case, ("REJECTED", "DigestMismatchError"), [serve(long)], task={"digests": {"sha256": "0" * 64}}),
    }[case]

    ran = run(row, landed, certificates)

    assert (ran.result.state, ran.result.error_type) == row.expect
    assert (hashlib.sha256(ran.object or b"").digest() == hashlib.sha256(long.body).digest()) is (row.lands is not None)
    assert ran.uploads == []
    assert PART < ran.growth_bytes < LIMIT_BYTES, f"{ran.growth_bytes / MIB:.1f} MiB"
