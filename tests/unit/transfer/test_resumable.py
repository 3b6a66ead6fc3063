"""Digests put down and taken up again, against hashlib and zlib."""

from __future__ import annotations

import hashlib
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiceway.transfer import libcrypto, rehashing
from sluiceway.transfer.digest import ALGORITHMS, new_hash
from sluiceway.transfer.layouts import LAYOUTS
from sluiceway.transfer.resumable import agrees, resumable_hash

DATA = bytes(index * 7 % 256 for index in range(300))
BACKENDS = [libcrypto.Context, rehashing.Context]


def reference(name: str, data: bytes) -> str:
    digest = new_hash(name)
    digest.update(memoryview(data))
    return digest.hexdigest()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_cut_point_gives_the_digest_of_the_whole(name: str) -> None:
    whole = reference(name, DATA)
    for cut in range(len(DATA) + 1):
        first = resumable_hash(name)
        first.update(memoryview(DATA)[:cut])
        second = resumable_hash(name, json.loads(json.dumps(first.state())))
        second.update(memoryview(DATA)[cut:])
        assert second.hexdigest() == whole, cut


@pytest.mark.parametrize("name", LAYOUTS)
@given(pieces=st.lists(st.binary(max_size=400), max_size=8), order=st.permutations(BACKENDS))
def test_states_pass_between_both_libraries(name: str, pieces: list[bytes], order: list[type]) -> None:
    layout, state = LAYOUTS[name], None
    for context, piece in zip(itertools.cycle(order), pieces, strict=False):
        digest = context(layout, state)
        digest.update(memoryview(piece))
        state = layout.parse(layout.format(digest.state()))
    expected = hashlib.new(name, b"".join(pieces)).hexdigest()
    assert order[0](layout, state).hexdigest() == expected


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("context", BACKENDS)
def test_a_count_past_32_bits_is_carried(name: str, context: type) -> None:
    layout = LAYOUTS[name]
    ours, others = context(layout, None), [backend for backend in BACKENDS if backend is not context][0](layout, None)
    for digest in (ours, others):
        digest.update(memoryview(DATA)[: layout.block_bytes])
    far = layout.format(ours.state()) | {"n": 5 * 2**30 // layout.block_bytes * layout.block_bytes, "p": ""}
    digests = {backend(layout, layout.parse(far)).hexdigest() for backend in BACKENDS}
    assert len(digests) == 1


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("context", BACKENDS)
def test_each_library_agrees_with_hashlib_here(name: str, context: type) -> None:
    assert agrees(context, name)


def test_a_library_that_is_off_by_a_bit_is_found_out() -> None:
    class Wrong(libcrypto.Context):
        def hexdigest(self) -> str:
            return f"{int(super().hexdigest(), 16) ^ 1:064x}"

    assert not agrees(Wrong, "sha256")


@pytest.mark.parametrize(
    "state",
    [
        {"h": "00", "n": 0, "p": ""},
        {"h": "00" * 32, "n": 65, "p": ""},
        {"h": "00" * 32, "n": 1, "p": "zz"},
        {"h": "00" * 32, "n": -64, "p": ""},
        {"h": "00" * 32, "n": 0},
    ],
)
def test_a_state_that_cannot_be_is_refused(state: dict[str, str | int]) -> None:
    with pytest.raises(ValueError, match="not a sha256 state"):
        resumable_hash("sha256", state)


def test_a_digest_can_be_read_twice_and_goes_on() -> None:
    digest = resumable_hash("sha256")
    digest.update(memoryview(b"abc"))
    assert digest.hexdigest() == digest.hexdigest() == hashlib.sha256(b"abc").hexdigest()
    digest.update(memoryview(bytearray(b"def")))
    assert digest.hexdigest() == hashlib.sha256(b"abcdef").hexdigest()
