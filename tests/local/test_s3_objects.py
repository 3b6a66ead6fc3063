"""Objects through boto3: what is stored is what was sent, and nothing else is visible."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from tests.local.support import Running, code_of

EMPTY_CRC32 = base64.b64encode(zlib.crc32(b"").to_bytes(4, "big")).decode()


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


@pytest.mark.parametrize("body", [b"", b"x", os.urandom(3_000_001)])
def test_object_is_a_plain_file_with_its_metadata(running: Running, body: bytes) -> None:
    running.client.put_object(
        Bucket="landing", Key="a/b c/é.bin", Body=body, ContentType="text/csv", Metadata={"attempt": "7"},
        Tagging="team=data&x=1", StorageClass="STANDARD_IA", CacheControl="no-store",
    )  # fmt: skip
    assert (running.landed / "landing/a/b c/é.bin").read_bytes() == body
    got = running.client.get_object(Bucket="landing", Key="a/b c/é.bin", ChecksumMode="ENABLED")
    assert got["Body"].read() == body
    assert got["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("text/csv", {"attempt": "7"}, 2)
    assert (got["StorageClass"], got["CacheControl"]) == ("STANDARD_IA", "no-store")
    assert got["ChecksumCRC64NVME"] and got["ChecksumType"] == "FULL_OBJECT"
    tags = running.client.get_object_tagging(Bucket="landing", Key="a/b c/é.bin")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "data", "x": "1"}


@pytest.mark.parametrize(
    "span, expected, told",
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=9-9", b"9", "bytes 9-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=8-100", b"89", "bytes 8-9/10"),
        ("bytes=0-", b"0123456789", "bytes 0-9/10"),
        ("bytes=0-9", b"0123456789", "bytes 0-9/10"),
        ("bytes=-100", b"0123456789", "bytes 0-9/10"),
        ("bytes=5-2", b"0123456789", None),
        ("bytes=-", b"0123456789", None),
        ("bytes=0-1,3-4", b"0123456789", None),
        ("bytes=" + "9" * 5000 + "-", b"0123456789", None),
    ],
)
def test_ranges(running: Running, span: str, expected: bytes, told: str | None) -> None:
    running.client.put_object(Bucket="landing", Key="k", Body=b"0123456789")
    got = running.client.get_object(Bucket="landing", Key="k", Range=span)
    assert (got["Body"].read(), got.get("ContentRange")) == (expected, told)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == (206 if told else 200)


@pytest.mark.parametrize("span", ["bytes=10-", "bytes=10-10", "bytes=-0"])
def test_range_past_the_end_is_refused(running: Running, span: str) -> None:
    running.client.put_object(Bucket="landing", Key="k", Body=b"0123456789")
    running.client.put_object(Bucket="landing", Key="empty", Body=b"")
    assert code_of(lambda: running.client.get_object(Bucket="landing", Key="k", Range=span)) == "InvalidRange"
    assert (
        code_of(lambda: running.client.get_object(Bucket="landing", Key="empty", Range="bytes=0-0")) == "InvalidRange"
    )


def test_an_object_put_whole_is_its_only_part(running: Running) -> None:
    running.client.put_object(Bucket="landing", Key="k", Body=b"0123456789")
    got = running.client.get_object(Bucket="landing", Key="k", PartNumber=1)
    assert (got["Body"].read(), got["ContentRange"]) == (b"0123456789", "bytes 0-9/10")
    assert code_of(lambda: running.client.get_object(Bucket="landing", Key="k", PartNumber=2)) == "InvalidRange"


def test_missing_things_have_s3s_own_errors(running: Running) -> None:
    client = running.client
    assert code_of(lambda: client.get_object(Bucket="landing", Key="none")) == "NoSuchKey"
    assert code_of(lambda: client.head_object(Bucket="landing", Key="none")) == "404"
    assert code_of(lambda: client.put_object(Bucket="absent", Key="k", Body=b"")) == "NoSuchBucket"
    assert code_of(lambda: client.get_object_acl(Bucket="landing", Key="k")) == "NotImplemented"


def test_conditional_writes(running: Running) -> None:
    def put(body: bytes, **conditions: str) -> str:
        return str(running.client.put_object(Bucket="landing", Key="k", Body=body, **conditions)["ETag"])

    assert code_of(lambda: put(b"0", IfMatch='"abc"')) == "NoSuchKey"
    first = put(b"1", IfNoneMatch="*")
    assert code_of(lambda: put(b"2", IfNoneMatch="*")) == "PreconditionFailed"
    second = put(b"3", IfMatch=first)
    assert code_of(lambda: put(b"4", IfMatch=first)) == "PreconditionFailed"
    put(b"5", IfMatch=second)
    assert (running.landed / "landing/k").read_bytes() == b"5"


def test_of_many_racing_conditional_writes_exactly_one_wins(running: Running) -> None:
    def attempt(number: int) -> int | None:
        try:
            running.client.put_object(Bucket="landing", Key="race", Body=b"%d" % number, IfNoneMatch="*")
            return number
        except ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed"
            return None

    with ThreadPoolExecutor(16) as pool:
        winners = [number for number in pool.map(attempt, range(64)) if number is not None]
    assert len(winners) == 1
    assert (running.landed / "landing/race").read_bytes() == b"%d" % winners[0]


@pytest.mark.parametrize(
    "wrong, code",
    [
        ({"ChecksumCRC32": crc32(b"other")}, "BadDigest"),
        ({"ChecksumSHA256": base64.b64encode(bytes(32)).decode()}, "BadDigest"),
        ({"ChecksumCRC64NVME": base64.b64encode(bytes(8)).decode()}, "BadDigest"),
        ({"ContentMD5": base64.b64encode(bytes(16)).decode()}, "BadDigest"),
        ({"ContentMD5": "nonsense"}, "InvalidDigest"),
        ({"ChecksumCRC32C": "AA=="}, "InvalidRequest"),
    ],
)
def test_a_wrong_checksum_leaves_the_old_object(running: Running, wrong: dict[str, str], code: str) -> None:
    running.client.put_object(Bucket="landing", Key="k", Body=b"old")
    assert code_of(lambda: running.client.put_object(Bucket="landing", Key="k", Body=b"new", **wrong)) == code
    assert running.client.get_object(Bucket="landing", Key="k")["Body"].read() == b"old"


def raw_put(running: Running, body: bytes, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"))
    try:
        connection.request("PUT", "/landing/raw", body=body, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("trailer, status", [(crc32(b"hello world"), 200), (EMPTY_CRC32, 400)])
def test_aws_chunked_bodies_are_unwrapped_and_their_trailer_checked(
    running: Running, trailer: str, status: int
) -> None:
    body = b"6\r\nhello \r\n5\r\nworld\r\n0\r\nx-amz-checksum-crc32:" + trailer.encode() + b"\r\n\r\n"
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "11",
        "content-encoding": "aws-chunked",
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    assert raw_put(running, body, headers) == status
    assert (running.landed / "landing/raw").exists() == (status == 200)
    if status == 200:
        assert (running.landed / "landing/raw").read_bytes() == b"hello world"


def test_a_body_cut_short_leaves_nothing(running: Running) -> None:
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"))
    connection.putrequest("PUT", "/landing/cut")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"only this")
    connection.close()
    running.client.put_object(Bucket="landing", Key="other", Body=b"")
    assert [item["Key"] for item in running.client.list_objects_v2(Bucket="landing")["Contents"]] == ["other"]


@pytest.mark.parametrize("key", ["k", "/abs", "//a"])
def test_a_buckets_own_host_leaves_the_key_as_it_is(running: Running, key: str) -> None:
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"))
    try:
        connection.request("PUT", f"/{key}", b"1", {"Host": "landing.localhost"})
        assert connection.getresponse().status == 200
    finally:
        connection.close()
    assert [item["Key"] for item in running.client.list_objects_v2(Bucket="landing")["Contents"]] == [key]


@pytest.mark.parametrize(
    "key", ["../../escape", "/abs", "a//b", "a/./b", "dir/", "x" * 300, "n\u00ff/" + "é" * 200, "d/" * 511 + "f"]
)
def test_keys_that_are_no_paths_still_work_and_stay_inside(running: Running, key: str) -> None:
    running.client.put_object(Bucket="landing", Key=key, Body=b"odd")
    assert running.client.get_object(Bucket="landing", Key=key)["Body"].read() == b"odd"
    assert [item["Key"] for item in running.client.list_objects_v2(Bucket="landing")["Contents"]] == [key]
    assert not (running.landed.parent.parent / "escape").exists() and not (running.landed.parent / "escape").exists()
    running.client.delete_object(Bucket="landing", Key=key)
    assert "Contents" not in running.client.list_objects_v2(Bucket="landing")


def test_a_key_may_be_both_an_object_and_a_folder(running: Running) -> None:
    for key in ("a/b", "a", "c", "c/d"):
        running.client.put_object(Bucket="landing", Key=key, Body=key.encode())
    for key in ("a/b", "a", "c", "c/d"):
        assert running.client.get_object(Bucket="landing", Key=key)["Body"].read() == key.encode()


def test_a_key_over_1024_bytes_is_refused(running: Running) -> None:
    assert code_of(lambda: running.client.put_object(Bucket="landing", Key="k/" * 513, Body=b"")) == "KeyTooLongError"


def test_listing_pages_through_more_than_a_thousand_keys(running: Running) -> None:
    keys = sorted([f"p/{n:04}" for n in range(1100)] + ["q/a", "p!", "z"], key=str.encode)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: running.client.put_object(Bucket="landing", Key=key, Body=b"1"), keys))
    pages = list(running.client.get_paginator("list_objects_v2").paginate(Bucket="landing"))
    assert [len(page["Contents"]) for page in pages] == [1000, 103]
    assert [item["Key"] for page in pages for item in page["Contents"]] == keys
    top = running.client.list_objects_v2(Bucket="landing", Delimiter="/")
    assert [item["Prefix"] for item in top["CommonPrefixes"]] == ["p/", "q/"]
    assert [item["Key"] for item in top["Contents"]] == ["p!", "z"]
    small = running.client.get_paginator("list_objects_v2").paginate(Bucket="landing", Delimiter="/", MaxKeys=1)
    names = [entry.get("Key") or entry.get("Prefix") for page in small
             for entry in page.get("Contents", []) + page.get("CommonPrefixes", [])]  # fmt: skip
    assert names == ["p!", "p/", "q/", "z"]


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_pages_of_a_listing_go_on_behind_keys_with_any_characters(running: Running, operation: str) -> None:
    keys = sorted(["a b", "a+b", "a%2Bb", "a&b", "a/1", "a/2", "é+/1", "K", "k", "z" * 200], key=str.encode)
    for key in keys:
        running.client.put_object(Bucket="landing", Key=key, Body=b"1")
    pages = list(running.client.get_paginator(operation).paginate(Bucket="landing", MaxKeys=1))
    assert [item["Key"] for page in pages for item in page["Contents"]] == keys
    folded = list(running.client.get_paginator(operation).paginate(Bucket="landing", MaxKeys=2, Delimiter="+"))
    found = [entry["Prefix"] for page in folded for entry in page.get("CommonPrefixes", [])]
    assert (found, {page["Delimiter"] for page in folded}) == (["a+", "é+"], {"+"})
    begin = {"list_objects": "Marker", "list_objects_v2": "StartAfter"}[operation]
    late = getattr(running.client, operation)(Bucket="landing", **{begin: "a+b"})
    assert (late[begin], [item["Key"] for item in late["Contents"]]) == ("a+b", keys[keys.index("a+b") + 1 :])
    none = getattr(running.client, operation)(Bucket="landing", MaxKeys=0)
    assert ("Contents" in none, none["IsTruncated"]) == (False, False)


@pytest.mark.parametrize(
    ("method", "target", "headers", "code"),
    [
        ("GET", "/landing?max-keys=many", {}, "InvalidArgument"),
        ("GET", "/landing?list-type=2&continuation-token=%C3%A9", {}, "InvalidArgument"),
        ("GET", "/landing?uploads&max-uploads=-1", {}, "InvalidArgument"),
        ("GET", "/landing?uploads&max-uploads=0", {}, "InvalidArgument"),
        ("PUT", "/landing/k", {"x-amz-decoded-content-length": "long"}, "InvalidArgument"),
        ("PUT", "/landing/k", {"x-amz-decoded-content-length": "9" * 5000}, "InvalidArgument"),
        ("PUT", "/landing/k?tagging", {}, "MalformedXML"),
    ],
)
def test_what_is_no_number_and_no_document_is_refused(
    running: Running, method: str, target: str, headers: dict[str, str], code: str
) -> None:
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"))
    try:
        connection.request(method, target, b"<Tagging><Tag><Key>a</Key></Tag></Tagging>", headers)
        reply = connection.getresponse()
        assert (reply.status, f"<Code>{code}</Code>" in reply.read().decode()) == (400, True)
    finally:
        connection.close()


def test_many_keys_are_deleted_at_once_and_empty_folders_go(running: Running) -> None:
    for number in range(5):
        running.client.put_object(Bucket="landing", Key=f"deep/er/{number}", Body=b"")
    reply = running.client.delete_objects(
        Bucket="landing", Delete={"Objects": [{"Key": f"deep/er/{n}"} for n in range(5)] + [{"Key": "never/was"}]}
    )
    assert len(reply["Deleted"]) == 6
    assert list((running.landed / "landing").iterdir()) == []


def test_copy_keeps_or_replaces_what_is_said_of_the_object(running: Running) -> None:
    running.client.put_object(Bucket="landing", Key="from", Body=b"data", Metadata={"a": "1"}, ContentType="text/x")
    source = {"Bucket": "landing", "Key": "from"}
    running.client.copy_object(Bucket="landing", Key="same", CopySource=source)
    running.client.copy_object(
        Bucket="landing", Key="new", CopySource=source, Metadata={"b": "2"}, MetadataDirective="REPLACE"
    )
    same, new = (running.client.get_object(Bucket="landing", Key=key) for key in ("same", "new"))
    assert (same["Body"].read(), same["Metadata"], same["ContentType"]) == (b"data", {"a": "1"}, "text/x")
    assert (new["Body"].read(), new["Metadata"]) == (b"data", {"b": "2"})


def test_presigned_urls_work(running: Running) -> None:
    running.client.put_object(Bucket="landing", Key="k", Body=b"signed")
    url = running.client.generate_presigned_url("get_object", Params={"Bucket": "landing", "Key": "k"})
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"))
    connection.request("GET", url.removeprefix(running.url))
    assert connection.getresponse().read() == b"signed"
    connection.close()


def test_closing_leaves_no_temporary_files(running: Running) -> None:
    running.client.create_multipart_upload(Bucket="landing", Key="open")
    running.s3.close()
    assert list((running.landed / ".sluiceway").glob("scratch-*")) == []
