"""The same file landed more than once: at the same time, after a kill, and when nothing has changed."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.landing.land import land
from sluiceway.landing.options import Options
from sluiceway.source.client import Client
from sluiceway.source.policy import UrlPolicy
from tests.faults.harness import BIG, KEY, OTHER, PART, SMALL, s3_of
from tests.faults.source import YESTERDAY, Exchange, File, Source, Step, serve
from tests.faults.store import BUCKET, Fault, Store, unfinished
from tests.support.commands import command_line, environment

HANG_SECONDS = 60.0
UNCHANGED = Options(if_exists="skip-unchanged", part_bytes=PART)


@pytest.fixture
def store(landed: Path) -> Iterator[Store]:
    with Store(landed) as store:
        yield store


def fetch(source: Source, store: Store, options: Options, *, path: str = "/file.bin", **task: Any) -> FileResult:
    client, s3 = Client(UrlPolicy([source.host])), s3_of(store)
    try:
        return land(FileTask(source.url(path), BUCKET, KEY, **task), options, client=client, s3=s3)
    finally:
        client.close()
        s3.close()


def revalidating(file: File, **more: str) -> Step:
    """Answers 304 when the validator of `file` is the one asked with."""

    def step(exchange: Exchange) -> None:
        known = exchange.headers.get("if-none-match"), exchange.headers.get("if-modified-since")
        if (file.etag and known[0] == file.etag) or (known[1] and known[1] == more.get("Last_Modified")):
            exchange.head(304, {"ETag": file.etag or ""})
        else:
            serve(file, **more)(exchange)

    return step


@pytest.mark.parametrize("file", [BIG, SMALL], ids=["in parts", "at once"])
def test_two_at_once_with_never_make_one_object_and_one_stored(store: Store, file: File) -> None:
    gate = threading.Barrier(2, timeout=HANG_SECONDS)

    def together(exchange: Exchange) -> None:
        gate.wait()
        serve(file)(exchange)

    options, results = Options(if_exists="never", part_bytes=PART), list[FileResult]()
    with Source([together]) as source:
        threads = [
            threading.Thread(target=lambda: results.append(fetch(source, store, options)), daemon=True)
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG_SECONDS)
    assert sorted(result.state for result in results) == ["SKIPPED", "STORED"]
    assert store.object(KEY) == file.body
    assert unfinished(s3_of(store)) == []


@pytest.mark.parametrize("file", [BIG, SMALL], ids=["in parts", "at once"])
def test_two_at_once_that_overwrite_leave_one_whole_object(store: Store, file: File) -> None:
    gate = threading.Barrier(2, timeout=HANG_SECONDS)

    def together(exchange: Exchange) -> None:
        gate.wait()
        serve(file)(exchange)

    results: list[FileResult] = []
    with Source([together]) as source:
        work = [lambda: results.append(fetch(source, store, Options(part_bytes=PART)))] * 2
        threads = [threading.Thread(target=each, daemon=True) for each in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG_SECONDS)
    assert len(results) == 2
    assert {result.state for result in results} <= {"STORED", "SKIPPED"}
    assert "STORED" in {result.state for result in results}
    assert store.object(KEY) == file.body
    s3 = s3_of(store)
    assert s3.head_object(Bucket=BUCKET, Key=KEY)["ETag"] in {result.etag for result in results}
    assert unfinished(s3) == []


def test_a_kill_in_a_part_leaves_nothing_once_the_file_is_landed_again(store: Store) -> None:
    s3 = s3_of(store)
    store.faults.append(Fault("part-2", store.stall))
    with Source([serve(BIG)]) as source:
        env = environment(
            {
                "AWS_ENDPOINT_URL_S3": store.url,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        )
        copy = command_line(
            "copy", source.url(), f"s3://{BUCKET}/{KEY}", "--part-mib", "5", "--allow-source", source.host
        )
        process = subprocess.Popen(copy, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            await_call(store, "part-2", process)
        finally:
            process.kill()
            process.wait()
        assert store.object(KEY) is None
        assert unfinished(s3) == [KEY]
        result = fetch(source, store, Options(part_bytes=PART))
    assert result.state == "STORED"
    assert store.object(KEY) == BIG.body
    assert unfinished(s3) == []


def await_call(store: Store, operation: str, process: subprocess.Popen[bytes]) -> None:
    """Looks often, for the process may end as well as call, and only looking tells which."""
    deadline = time.monotonic() + HANG_SECONDS
    while operation not in store.calls:
        assert process.poll() is None, "the command ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("file", [BIG, SMALL], ids=["in parts", "at once"])
def test_what_is_unchanged_is_skipped_without_a_byte(store: Store, file: File) -> None:
    with Source([revalidating(file)]) as source:
        first = fetch(source, store, UNCHANGED)
        store.calls.clear()
        second = fetch(source, store, UNCHANGED)
        assert source.requests[1]["if-none-match"] == file.etag
    assert (first.state, second.state, second.bytes) == ("STORED", "SKIPPED", 0)
    assert second.etag == first.etag
    assert store.calls == ["head"]


def test_a_date_alone_is_enough_to_skip(store: Store) -> None:
    with Source([revalidating(File(SMALL.body, None), Last_Modified=YESTERDAY)]) as source:
        assert fetch(source, store, UNCHANGED).state == "STORED"
        assert fetch(source, store, UNCHANGED).state == "SKIPPED"
        assert source.requests[1]["if-modified-since"] == YESTERDAY


def test_a_date_is_not_trusted_where_a_query_chooses_the_file(store: Store) -> None:
    with Source([revalidating(File(SMALL.body, None), Last_Modified=YESTERDAY)]) as source:
        fetch(source, store, UNCHANGED, path="/download?id=1")
        assert fetch(source, store, UNCHANGED, path="/download?id=2").state == "STORED"
        assert "if-modified-since" not in source.requests[1]


def test_a_signed_link_that_differs_only_in_its_signature_is_still_the_same_file(store: Store) -> None:
    with Source([revalidating(SMALL)]) as source:
        fetch(source, store, UNCHANGED, path="/a?sig=1")
        assert fetch(source, store, UNCHANGED, path="/a?sig=2").state == "SKIPPED"


def test_what_has_changed_is_landed_again(store: Store) -> None:
    with Source([revalidating(SMALL), revalidating(OTHER)]) as source:
        fetch(source, store, UNCHANGED)
        assert fetch(source, store, UNCHANGED).state == "STORED"
    assert store.object(KEY) == OTHER.body


@pytest.mark.parametrize(
    "task",
    [{"size": len(OTHER.body)}, {"digests": {"sha256": "0" * 64}}, {"digests": {"md5": "0" * 32}}],
    ids=["size", "digest", "digest unknown"],
)
def test_an_object_that_is_not_what_the_caller_states_is_not_skipped(store: Store, task: Mapping[str, Any]) -> None:
    with Source([revalidating(SMALL)]) as source:
        fetch(source, store, UNCHANGED)
        with pytest.raises(Exception, match="stated by the caller"):
            fetch(source, store, UNCHANGED, **task)
        assert "if-none-match" not in source.requests[1]


def test_a_digest_that_was_stated_before_does_not_hinder_skipping(store: Store) -> None:
    import hashlib

    digests = {"md5": hashlib.md5(BIG.body).hexdigest()}
    with Source([revalidating(BIG)]) as source:
        assert fetch(source, store, UNCHANGED, digests=digests).verified_by == ("caller:md5",)
        assert fetch(source, store, UNCHANGED, digests=digests).state == "SKIPPED"


def test_an_object_of_somebody_else_is_not_asked_about(store: Store) -> None:
    s3_of(store).put_object(Bucket=BUCKET, Key=KEY, Body=b"theirs")
    with Source([revalidating(SMALL)]) as source:
        assert fetch(source, store, UNCHANGED).state == "STORED"
        assert "if-none-match" not in source.requests[0]
    assert store.object(KEY) == SMALL.body


def test_a_cut_after_a_conditional_request_resumes_under_if_range_alone(store: Store) -> None:
    def cut_once(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Length": len(OTHER.body), **OTHER.headers()})
        exchange.raw(OTHER.body[:PART])

    with Source([revalidating(SMALL), cut_once, serve(OTHER)]) as source:
        fetch(source, store, UNCHANGED)
        assert fetch(source, store, UNCHANGED).state == "STORED"
        assert "if-none-match" in source.requests[1]
        assert "if-none-match" not in source.requests[2]
    assert store.object(KEY) == OTHER.body
