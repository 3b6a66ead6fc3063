"""Objects and parts past botocore: the same request on the wire, and botocore again whenever anything is odd."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError

from sluiceway.sink.direct import EXPECT_BYTES, put_object
from tests.adapters.sink.direct_store import ARGUMENTS, Store, calls_of_botocore, part, put

# What botocore alone adds, or what changes with every request (its User-Agent tells which features are in use).
OWN = {"user-agent", "amz-sdk-invocation-id", "amz-sdk-request", "authorization", "expect", "x-amz-date"}


def test_after_the_first_object_of_a_bucket_botocore_is_not_called(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    calls = calls_of_botocore(s3)
    replies = [put(s3, f"k{n}") for n in range(4)]
    assert len(store.seen) == 4
    assert calls == ["/k0"]
    assert [reply["ETag"] for reply in replies] == ['"etag-1"', '"etag-2"', '"etag-3"', '"etag-4"']
    assert replies[1]["VersionId"] == replies[0]["VersionId"] == "v1"


@pytest.mark.parametrize("key", ["a.csv", "a/b/c", "a b+c%20ü~!*'()=&?#@,;:$.csv", "Ünïcode/日本", "a//b", "..a/.b"])
@pytest.mark.parametrize("arguments", [{}, ARGUMENTS], ids=["plain", "with everything"])
def test_the_request_is_the_one_botocore_would_send(
    store: Store, s3_of: Callable[..., Any], key: str, arguments: dict[str, Any]
) -> None:
    s3 = s3_of()
    put(s3, key, **arguments)
    put(s3, key, **arguments)
    by_botocore, direct = store.seen
    assert (direct.method, direct.path, direct.body) == ("PUT", by_botocore.path, b"some bytes")
    for seen in store.seen:
        seen.headers = {name: value for name, value in seen.headers.items() if name not in OWN}
    assert direct.headers == by_botocore.headers
    assert direct.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


@pytest.mark.parametrize("upload_id", ["plain-_.~1", "a+b/c=", "ü &?#"])
@pytest.mark.parametrize("size", [1, EXPECT_BYTES - 1, EXPECT_BYTES, 3 * EXPECT_BYTES + 1])
def test_a_parts_request_is_the_one_botocore_would_send(
    store: Store, s3_of: Callable[..., Any], upload_id: str, size: int
) -> None:
    s3 = s3_of()
    calls = calls_of_botocore(s3)
    for _ in range(2):
        reply = part(s3, 7, bytes(range(256)) * (size // 256) + bytes(size % 256), upload_id, ChecksumCRC64NVME="rosU=")
    assert calls == ["/a%20b.csv"]
    by_botocore, direct = store.seen
    assert (direct.body, len(direct.body)) == (by_botocore.body, size)
    asked = [urlsplit(seen.path) for seen in store.seen]
    assert asked[0].path == asked[1].path == "/landing/a%20b.csv"
    assert parse_qs(asked[0].query) == parse_qs(asked[1].query) == {"partNumber": ["7"], "uploadId": [upload_id]}
    assert ("expect" in direct.headers) == (size >= EXPECT_BYTES)
    for seen in store.seen:
        seen.headers = {name: value for name, value in seen.headers.items() if name not in OWN}
    assert direct.headers == by_botocore.headers
    assert reply["ETag"] == '"etag-2"'


def test_a_part_and_an_object_teach_each_other(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    calls = calls_of_botocore(s3)
    part(s3, 1)
    put(s3, "k")
    part(s3, 2)
    assert calls == ["/a%20b.csv"]
    assert [urlsplit(seen.path).path for seen in store.seen] == [
        "/landing/a%20b.csv",
        "/landing/k",
        "/landing/a%20b.csv",
    ]


@pytest.mark.parametrize("status", [0, 400, 500, 503])
def test_a_part_refused_once_is_sent_whole_by_botocore(store: Store, s3_of: Callable[..., Any], status: int) -> None:
    s3 = s3_of()
    body = bytes(range(256)) * 8192
    part(s3, 1)
    calls = calls_of_botocore(s3)
    store.statuses = [status]
    retries: list[int] = []
    reply = part(s3, 2, body, on_retry=lambda: retries.append(1))
    assert calls == ["/a%20b.csv"]
    assert store.seen[-1].body == body
    assert reply["ETag"] == '"etag-3"'
    assert retries == [1]
    assert reply["ResponseMetadata"]["RetryAttempts"] == 0


@pytest.mark.parametrize("status", [0, 301, 400, 500, 503])
def test_any_other_answer_leaves_the_object_to_botocore(store: Store, s3_of: Callable[..., Any], status: int) -> None:
    s3 = s3_of()
    put(s3, "first")
    calls = calls_of_botocore(s3)
    store.statuses = [status]
    retries: list[int] = []
    reply = put(s3, "second", ContentType="text/csv", on_retry=lambda: retries.append(1))
    assert calls == ["/second"]
    assert [seen.path for seen in store.seen] == ["/landing/first", "/landing/second", "/landing/second"]
    assert reply["ETag"] == '"etag-3"'
    assert retries == [1]
    assert reply["ResponseMetadata"]["RetryAttempts"] == 0
    put(s3, "third")
    assert calls == ["/second"]


@pytest.mark.parametrize("status", [403, 404, 409, 412])
def test_a_refusal_raises_botocores_error_without_another_try(
    store: Store, s3_of: Callable[..., Any], status: int
) -> None:
    s3 = s3_of()
    put(s3, "first")
    errors: list[ClientError] = []
    for send in (lambda: put(s3, "k", IfNoneMatch="*"), lambda: part(s3, 2, bytes(EXPECT_BYTES)),
                 lambda: s3.put_object(Bucket="landing", Key="k", Body=b"")):  # fmt: skip
        store.statuses, before = [status], len(store.seen)
        with pytest.raises(ClientError) as raised:
            send()
        assert len(store.seen) == before + 1
        errors.append(raised.value)
    assert {error.response["ResponseMetadata"]["HTTPStatusCode"] for error in errors} == {status}
    assert {error.response["Error"]["Code"] for error in errors} == {str(status)}
    assert [error.operation_name for error in errors] == ["PutObject", "UploadPart", "PutObject"]
    assert str(errors[0]) == str(errors[2])


@pytest.mark.parametrize(
    ("body", "arguments"),
    [(b"x", {"ContentLength": 1}), (b"x", {"BucketKeyEnabled": True})],
    ids=["a number", "a truth value"],
)
def test_what_needs_botocore_goes_through_it(
    store: Store, s3_of: Callable[..., Any], body: bytes, arguments: dict[str, Any]
) -> None:
    s3 = s3_of()
    calls = calls_of_botocore(s3)
    for key in ("first", "second"):
        put(s3, key, body, **arguments)
    assert calls == ["/first", "/second"]
    assert store.seen[1].body == body


@pytest.mark.parametrize("signs", [True, False])
def test_a_payload_is_signed_where_botocore_signs_it(store: Store, s3_of: Callable[..., Any], signs: bool) -> None:
    s3 = s3_of(signs_payload=signs)
    calls = calls_of_botocore(s3)
    body = bytes(range(256)) * 8192
    put(s3, "first")
    put(s3, "second", b"small")
    part(s3, 2, body)
    assert calls == ["/first"]
    digests = [seen.headers["x-amz-content-sha256"] for seen in store.seen[1:]]
    assert digests == [hashlib.sha256(each).hexdigest() if signs else "UNSIGNED-PAYLOAD" for each in (b"small", body)]


def test_each_bucket_is_learnt_apart(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    calls = calls_of_botocore(s3)
    for bucket in ("one", "two", "one", "two"):
        put_object(s3, Bucket=bucket, Key="k", Body=memoryview(b"x"), on_retry=list)
    assert calls == ["/k", "/k"]
    assert [seen.path for seen in store.seen] == ["/one/k", "/two/k", "/one/k", "/two/k"]


def test_many_threads_share_one_client(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    threads = [threading.Thread(target=put, args=(s3, f"k{n}", bytes([n]) * 100)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(seen.path, seen.body) for seen in store.seen} == {(f"/landing/k{n}", bytes([n]) * 100) for n in range(8)}
