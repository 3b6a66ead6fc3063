"""What is carried from one invocation to the next: whole, and small whatever is in it."""

from __future__ import annotations

import json

import pytest

from sluiceway.landing.tally import PEAK
from sluiceway.source.representation import MAX_VALIDATOR_CHARS
from sluiceway.transfer.checkpoint import VERSION, Checkpoint, Position
from sluiceway.transfer.digest import ALGORITHMS, ROWS
from sluiceway.transfer.plan import MAX_OBJECT_BYTES, MAX_PARTS
from sluiceway.transfer.resumable import resumable_hash

DAYS = 30 * 24 * 3600 + 0.125


def longest() -> Checkpoint:
    """Of the largest object, with every digest in its longest state, and names longer than any that S3 gives."""
    hashes = {name: resumable_hash(name) for name in (*ALGORITHMS, ROWS)}
    for each in hashes.values():
        each.update(memoryview(b"x" * 127))  # the longest that SHA-512 keeps of an unfinished block
    states = {name: each.state() for name, each in hashes.items()}
    for state in states.values():
        # The count in as many digits as it can have; it decides how much is kept, so it stays 127 in that respect.
        state |= {"n": MAX_OBJECT_BYTES // 128 * 128 - 1} if "n" in state else {}
    return Checkpoint(
        Position(MAX_PARTS, MAX_OBJECT_BYTES - 1, states, 2**64 - 1),
        upload_id="u" * 1024,
        attempt="a" * 32,
        validator='"' + "e" * (MAX_VALIDATOR_CHARS - 6) + '"',
        length=MAX_OBJECT_BYTES,
        relays=10_000,
        idle=1,
        tried_seconds=647.125,
        restarts=3,
        sent_again=True,
        seconds=dict.fromkeys(("total", "source", "sink", "hash"), DAYS),
        counts=dict.fromkeys(("pool_waits", "part_retries", "source_resumes", PEAK), 10**10),
        stated={name: "f" * 2 * size for name, size in ALGORITHMS.items()} | {ROWS: str(MAX_OBJECT_BYTES)},
    )


def test_the_longest_checkpoint_is_under_4_kb() -> None:
    assert 3500 < len(json.dumps(longest().to_dict())) < 4096


def test_a_checkpoint_is_the_same_after_its_way_through_json() -> None:
    carried = longest()
    assert Checkpoint.from_dict(json.loads(json.dumps(carried.to_dict()))) == carried


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1, None])
def test_a_checkpoint_of_other_rules_is_refused(version: int | None) -> None:
    with pytest.raises(ValueError, match=f"expected version {VERSION}, found {version}"):
        Checkpoint.from_dict({**longest().to_dict(), "version": version})


def test_an_emptied_checkpoint_keeps_what_is_known_of_the_file_and_nothing_of_its_bytes() -> None:
    full, emptied = longest(), longest().emptied()
    gone = (emptied.upload_id, emptied.attempt, emptied.validator, emptied.length, emptied.stated, emptied.position)
    assert gone == (None, None, None, None, {}, Position())
    assert (full.is_begun, emptied.is_begun) == (True, False)
    for name in ("relays", "idle", "tried_seconds", "restarts", "sent_again", "seconds", "counts"):
        assert getattr(emptied, name) == getattr(full, name)
