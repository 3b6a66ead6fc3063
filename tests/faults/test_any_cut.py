"""Wherever connections break, whatever the sizes of parts, reads and pieces: the landed object equals the source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import botocore.session
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.landing.land import land
from sluiceway.landing.options import Options
from sluiceway.source import download
from sluiceway.source.client import Client
from sluiceway.source.policy import UrlPolicy
from sluiceway.source.retry import RetryBudget
from sluiceway.transfer.plan import Limits
from tests.faults.harness import PART, s3_of
from tests.faults.memory import MemoryS3
from tests.faults.source import Exchange, File, Source, Step, pattern
from tests.faults.store import BUCKET, Store, unfinished

# A socket and a few threads an example: slower than hypothesis likes, and how slow is the machine's business.
RUNS = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MAX_BYTES = 30_000


@pytest.fixture(scope="module")
def meta() -> Iterator[Any]:
    session = botocore.session.get_session()
    session.set_credentials("test", "test")
    client = session.create_client("s3", region_name="us-east-1", endpoint_url="http://127.0.0.1:1")
    yield client.meta
    client.close()


def broken_after(file: File, bytes_: int, *, reset: bool) -> Step:
    """The whole or the rest that was asked for, cut after so many bytes; never cut when there are fewer."""

    def step(exchange: Exchange) -> None:
        total = len(file.body)
        first = exchange.range[0] if exchange.range and exchange.headers.get("if-range") == file.etag else 0
        head: dict[str, str | int] = {"Content-Length": total - first, "Connection": "close", **file.headers()}
        if first:
            head["Content-Range"] = f"bytes {first}-{total - 1}/{total}"
        exchange.head(206 if first else 200, head)
        exchange.raw(file.body[first : first + bytes_])
        if reset:
            exchange.reset()

    return step


def chunked(file: File, size: int) -> Step:
    def step(exchange: Exchange) -> None:
        exchange.head(200, {"Transfer-Encoding": "chunked", "Connection": "close"})
        for at in range(0, len(file.body), size):
            piece = file.body[at : at + size]
            exchange.raw(b"%x\r\n%s\r\n" % (len(piece), piece))
        exchange.raw(b"0\r\n\r\n")

    return step


def landed_through(source: Source, s3: Any, options: Options) -> FileResult:
    budget = RetryBudget(attempts=9, sleep=lambda seconds: None, progress_bytes=1)
    client = Client(UrlPolicy([source.host]), budget=budget)
    try:
        return land(FileTask(source.url(), BUCKET, "key"), options, client=client, s3=s3)
    finally:
        client.close()


def check(result: FileResult, s3: MemoryS3, file: File, part_bytes: int) -> None:
    body, metadata = s3.objects["key"]
    assert result.state == "STORED"
    assert body == file.body
    assert result.digests["sha256"] == hashlib.sha256(file.body).hexdigest()
    assert (result.bytes, result.parts) == (len(file.body), len(s3.part_sizes))
    assert all(size == part_bytes for size in s3.part_sizes[:-1])
    assert s3.uploads == {}
    assert len(metadata["sluiceway-attempt"]) == 32


@RUNS
@given(
    size=st.integers(0, MAX_BYTES),
    part_bytes=st.integers(500, 9000),
    read_bytes=st.integers(1, 5000),
    cuts=st.lists(st.tuples(st.integers(0, MAX_BYTES), st.booleans()), max_size=6),
    uploaders=st.integers(1, 4),
)
@example(size=0, part_bytes=500, read_bytes=1000, cuts=[(0, False)], uploaders=1)
@example(size=1000, part_bytes=500, read_bytes=1000, cuts=[(500, False)], uploaders=2)
@example(size=1001, part_bytes=500, read_bytes=1000, cuts=[(1000, False)], uploaders=2)
def test_any_cuts_are_resumed(
    meta: Any, size: int, part_bytes: int, read_bytes: int, cuts: list[tuple[int, bool]], uploaders: int
) -> None:
    file = File(pattern(size))
    s3 = MemoryS3(meta, part_bytes)
    steps = [*(broken_after(file, after, reset=reset) for after, reset in cuts), broken_after(file, size, reset=False)]
    options = Options(part_bytes=part_bytes, limits=Limits(min_part_bytes=500), uploaders=uploaders)
    with (
        patch.object(download, "FIRST_READ_BYTES", read_bytes),
        patch.object(download, "LARGEST_READ_BYTES", read_bytes),
        Source(steps) as source,
    ):
        result = landed_through(source, s3, options)
        assert len(source.requests) <= len(cuts) + 1
    check(result, s3, file, part_bytes)


@RUNS
@given(
    size=st.integers(0, MAX_BYTES),
    part_bytes=st.integers(500, 9000),
    cuts=st.lists(st.integers(0, MAX_BYTES), max_size=3),
)
def test_any_cuts_without_a_validator_begin_anew(meta: Any, size: int, part_bytes: int, cuts: list[int]) -> None:
    file = File(pattern(size), None)
    s3 = MemoryS3(meta, part_bytes)
    steps = [*(broken_after(file, after, reset=False) for after in cuts), broken_after(file, size, reset=False)]
    with Source(steps) as source:
        result = landed_through(source, s3, Options(part_bytes=part_bytes, limits=Limits(min_part_bytes=500)))
    check(result, s3, file, part_bytes)


@RUNS
@given(size=st.integers(0, MAX_BYTES), part_bytes=st.integers(500, 9000), chunk=st.integers(50, 5000))
def test_any_chunks_of_an_unknown_length(meta: Any, size: int, part_bytes: int, chunk: int) -> None:
    file = File(pattern(size))
    s3 = MemoryS3(meta, part_bytes)
    with Source([chunked(file, chunk)]) as source:
        options = Options(part_bytes=part_bytes, limits=Limits(min_part_bytes=500), max_file_bytes=MAX_BYTES)
        result = landed_through(source, s3, options)
    check(result, s3, file, part_bytes)


@settings(parent=RUNS, max_examples=8)
@given(size=st.integers(PART - 1, 2 * PART + 2), cuts=st.lists(st.integers(0, 2 * PART), max_size=3))
@example(size=PART, cuts=[PART - 1])
@example(size=PART + 1, cuts=[PART])
@example(size=2 * PART, cuts=[PART, 0, PART])
def test_any_cuts_against_a_store_with_all_rules(
    tmp_path_factory: pytest.TempPathFactory, size: int, cuts: list[int]
) -> None:
    file = File(pattern(size))
    steps = [*(broken_after(file, after, reset=True) for after in cuts), broken_after(file, size, reset=False)]
    landed: Path = tmp_path_factory.mktemp("landed")
    with Store(landed) as store, Source(steps) as source:
        s3 = s3_of(store)
        result = landed_through(source, s3, Options(part_bytes=PART))
        assert (result.state, store.object("key")) == ("STORED", file.body)
        assert unfinished(s3) == []
        s3.close()
