"""Digests of a stream: known vectors, every spelling of a value, several at once."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiceway.transfer.digest import ALGORITHMS, ROWS, Digester, cores_here, new_hash, normalise

# Of the nine bytes "123456789": the check values of the CRC catalogue (reveng) and of the standards' own tables.
VECTORS = {
    "md5": "25f9e794323b453885f5181f1b624d0b",
    "sha1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "sha256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "sha512": "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a"
    "d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
    "crc32": "cbf43926",
    "crc32c": "e3069283",
    "crc64nvme": "ae8b14860a799888",
}
EMPTY = {
    "md5": "d41d8cd98f00b204e9800998ecf8427e",
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "crc32": "00000000",
    "crc32c": "00000000",
    "crc64nvme": "0000000000000000",
}


def base64_of(value: str) -> str:
    return base64.b64encode(bytes.fromhex(value)).decode()


def test_every_algorithm_has_a_vector() -> None:
    assert set(VECTORS) == set(ALGORITHMS)


@pytest.mark.parametrize(("name", "value"), [*VECTORS.items()])
@pytest.mark.parametrize("step", [1, 4, 9])
def test_a_digest_agrees_with_its_published_value_however_the_bytes_arrive(name: str, value: str, step: int) -> None:
    hashed, data = new_hash(name), memoryview(b"123456789")
    for at in range(0, len(data), step):
        hashed.update(data[at : at + step])
    assert hashed.hexdigest() == value


@pytest.mark.parametrize(("name", "value"), [*EMPTY.items()])
def test_a_digest_of_nothing_has_its_published_value(name: str, value: str) -> None:
    assert new_hash(name).hexdigest() == value


@pytest.mark.parametrize(("name", "value"), [*VECTORS.items()])
@pytest.mark.parametrize(
    "spell",
    [str, str.upper, base64_of, lambda value: f" {value}\n", lambda value: f"\t{base64_of(value)} "],
    ids=["hex", "upper-case hex", "base64", "hex with spaces", "base64 with spaces"],
)
def test_hex_and_base64_mean_the_same_value(name: str, value: str, spell: object) -> None:
    assert callable(spell)
    assert normalise(name, spell(value)) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("md5", ""),
        ("md5", "25f9e794323b453885f5181f1b624d0"),
        ("md5", "25f9e794323b453885f5181f1b624d0bb"),
        ("md5", "g5f9e794323b453885f5181f1b624d0b"),
        ("md5", VECTORS["sha1"]),
        ("md5", base64_of(VECTORS["sha1"])),
        ("sha256", base64_of(VECTORS["sha256"])[:-1]),
        ("sha256", base64_of(VECTORS["sha256"]).replace("=", "!")),
        ("sha256", "sha256:" + VECTORS["sha256"]),
        ("crc32", "cbf4 926"),
        ("crc32", "0xcbf43926"),
        ("crc32", "é" * 8),
    ],
)
def test_a_value_that_is_no_digest_of_the_algorithm_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"is neither hex nor base64 of {ALGORITHMS[name]} bytes"):
        normalise(name, value)


@pytest.mark.parametrize("name", ["", "SHA256", "sha384", "crc64"])
def test_an_unknown_algorithm_is_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(ValueError, match="is none of md5, sha1, sha256, sha512, crc32, crc32c, crc64nvme"):
        normalise(name, "00")


@given(st.sampled_from(sorted(ALGORITHMS)), st.data())
def test_no_value_reads_as_hex_and_as_base64_at_once(name: str, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=ALGORITHMS[name], max_size=ALGORITHMS[name]))
    assert normalise(name, raw.hex()) == normalise(name, base64.b64encode(raw).decode()) == raw.hex()


@given(pieces=st.lists(st.binary(max_size=300), max_size=8), names=st.sets(st.sampled_from(sorted(ALGORITHMS))))
@pytest.mark.parametrize("cores", [1, 2])
def test_digests_taken_beside_each_other_equal_those_taken_alone(
    cores: int, pieces: list[bytes], names: set[str]
) -> None:
    digester = Digester(names, cores=cores)
    try:
        for piece in pieces:
            digester.update(memoryview(piece))
        whole = b"".join(pieces)
        alone = {}
        for name in names:
            hashed = new_hash(name)
            hashed.update(memoryview(whole))
            alone[name] = hashed.hexdigest()
        assert digester.hexdigests() == alone
    finally:
        digester.close()


@pytest.mark.parametrize("cores", [1, 2])
def test_the_callers_buffer_may_be_overwritten_as_soon_as_update_returns(cores: int) -> None:
    digester, block = Digester({"sha256", "md5", "sha1", "crc32"}, cores=cores), bytearray(256 * 1024)
    whole = b""
    for n in range(20):
        block[:] = bytes([n]) * len(block)
        whole += block
        digester.update(memoryview(block))
    digester.close()
    assert digester.hexdigests() == {
        "sha256": hashlib.sha256(whole).hexdigest(),
        "md5": hashlib.md5(whole).hexdigest(),
        "sha1": hashlib.sha1(whole).hexdigest(),
        "crc32": f"{zlib.crc32(whole):08x}",
    }


@pytest.mark.parametrize(
    ("names", "cores", "threads"),
    [
        ({"sha256"}, 2, 0),
        ({"sha256", "crc32c"}, 2, 0),
        ({"sha256", "md5"}, 1, 0),
        ({"sha256", "md5"}, 2, 1),
        ({"sha256", "md5", "sha1"}, 8, 1),
        # A function of less than a core's memory.
        ({"sha256", "md5"}, 0, 0),
        # Counting rows holds the GIL: beside the digest it would take its turns with it.
        ({"sha256", ROWS}, 2, 0),
    ],
)
def test_a_second_digest_gets_a_thread_only_where_a_second_core_is(names: set[str], cores: int, threads: int) -> None:
    def count() -> int:
        return sum(thread.name.startswith("digest") for thread in threading.enumerate())

    before = count()
    digester = Digester(names, cores=cores)
    digester.update(memoryview(b"some bytes"))
    assert count() - before == threads
    digester.close()
    assert count() == before


def test_an_error_beside_reaches_the_caller() -> None:
    class Broken:
        def update(self, data: memoryview, /) -> None:
            raise RuntimeError("this digest broke")

        def hexdigest(self) -> str:
            return ""

    digester = Digester({"sha256", "md5"}, cores=2, new=lambda name: Broken() if name == "sha256" else new_hash(name))
    with pytest.raises(RuntimeError, match="this digest broke"):
        digester.update(memoryview(b"x"))
    digester.close()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not tell which cores are a process's")
def test_cores_are_those_this_process_may_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cores_here() == len(os.sched_getaffinity(0))


def test_where_the_system_does_not_tell_cores_are_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cores_here() == 64
