"""The public storage calls against an S3 server."""

from __future__ import annotations

import io
import urllib.request
from pathlib import Path

import pytest

from sluiceway.errors import FileExistsInSinkError, ObjectMissingError, SinkDeniedError, SinkError
from sluiceway.sink.storage import (
    ObjectWriter,
    delete_objects,
    download_file,
    download_stream,
    presigned_url,
    upload_buffer,
    upload_stream,
)
from tests.adapters.sink.conftest import Bucket

MIB = 1024**2
PART = 5 * MIB


def pattern(size: int) -> bytes:
    block = bytes(range(256)) * 4096
    return (block * (size // len(block) + 1))[:size]


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART + 7])
def test_upload_stream_stores_what_the_stream_yields(bucket: Bucket, size: int) -> None:
    data = pattern(size)
    stored, etag = upload_stream(
        bucket.s3, bucket.name, "a", io.BytesIO(data), content_type="text/csv", part_bytes=PART
    )
    assert bucket.read("a") == data
    assert stored == size
    assert bucket.head("a")["ETag"] == etag
    assert bucket.head("a")["ContentType"] == "text/csv"
    assert bucket.unfinished() == []


class BrokenStream:
    """Yields `size` bytes, then fails."""

    def __init__(self, size: int) -> None:
        self._inner = io.BytesIO(pattern(size))

    def read(self, size: int, /) -> bytes:
        piece = self._inner.read(size)
        if not piece:
            raise OSError("the stream broke")
        return piece


@pytest.mark.parametrize("size", [0, 1, PART, 2 * PART + 1])
def test_a_stream_that_fails_leaves_neither_object_nor_upload(bucket: Bucket, size: int) -> None:
    with pytest.raises(OSError, match="the stream broke"):
        upload_stream(bucket.s3, bucket.name, "a", BrokenStream(size), part_bytes=PART)
    assert bucket.keys() == []
    assert bucket.unfinished() == []


def test_a_writer_in_pieces_completes_on_a_clean_exit(bucket: Bucket) -> None:
    data = pattern(PART + 1000)
    with ObjectWriter(bucket.s3, bucket.name, "a", part_bytes=PART) as writer:
        for at in range(0, len(data), 300_007):
            writer.write(data[at : at + 300_007])
        assert bucket.keys() == []
    assert bucket.read("a") == data
    assert writer.size == len(data)


def test_a_writer_left_by_an_error_aborts(bucket: Bucket) -> None:
    with pytest.raises(RuntimeError), ObjectWriter(bucket.s3, bucket.name, "a", part_bytes=PART) as writer:
        writer.write(pattern(PART))
        assert bucket.unfinished() == ["a"]
        raise RuntimeError
    assert bucket.keys() == []
    assert bucket.unfinished() == []


def test_upload_buffer_stores_and_tells_the_etag(bucket: Bucket) -> None:
    etag = upload_buffer(bucket.s3, bucket.name, "a", b"hello", content_type="text/plain")
    assert bucket.read("a") == b"hello"
    assert bucket.head("a")["ETag"] == etag
    assert bucket.head("a")["ContentType"] == "text/plain"


def test_upload_buffer_can_refuse_to_replace(bucket: Bucket) -> None:
    upload_buffer(bucket.s3, bucket.name, "a", b"first", if_none_match=True)
    with pytest.raises(FileExistsInSinkError):
        upload_buffer(bucket.s3, bucket.name, "a", b"second", if_none_match=True)
    assert bucket.read("a") == b"first"


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (None, None, b"0123456789"),
        (0, None, b"0123456789"),
        (4, None, b"456789"),
        (4, 3, b"456"),
        (None, 2, b"01"),
        (9, 5, b"9"),
    ],
)
def test_download_stream_reads_an_object_or_a_range(
    bucket: Bucket, start: int | None, length: int | None, expected: bytes
) -> None:
    bucket.s3.put_object(Bucket=bucket.name, Key="a", Body=b"0123456789")
    with download_stream(bucket.s3, bucket.name, "a", start=start, length=length) as reader:
        assert reader.length == len(expected)
        assert reader.read() == expected


def test_download_stream_reads_lines(bucket: Bucket) -> None:
    bucket.s3.put_object(Bucket=bucket.name, Key="a", Body=b"one\ntwo\nthree")
    with download_stream(bucket.s3, bucket.name, "a") as reader:
        assert list(io.BufferedReader(reader)) == [b"one\n", b"two\n", b"three"]


def test_a_missing_key_has_an_error_of_its_own_that_names_it(bucket: Bucket) -> None:
    with pytest.raises(ObjectMissingError, match=f"s3://{bucket.name}/nothing: NoSuchKey"):
        download_stream(bucket.s3, bucket.name, "nothing")


def test_a_missing_bucket_is_said_plainly(bucket: Bucket) -> None:
    with pytest.raises(SinkDeniedError, match="NoSuchBucket"):
        upload_buffer(bucket.s3, "no-such-bucket-here", "a", b"")


@pytest.mark.parametrize("size", [0, 3 * MIB + 5])
def test_download_file_writes_the_whole_object(bucket: Bucket, tmp_path: Path, size: int) -> None:
    bucket.s3.put_object(Bucket=bucket.name, Key="a", Body=pattern(size))
    assert download_file(bucket.s3, bucket.name, "a", tmp_path / "a") == size
    assert (tmp_path / "a").read_bytes() == pattern(size)
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_download_file_leaves_nothing_when_it_fails(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(SinkError):
        download_file(bucket.s3, bucket.name, "nothing", tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_delete_objects_takes_more_than_a_request_may_hold(bucket: Bucket) -> None:
    keys = [f"k/{n:04}" for n in range(1003)]
    for key in keys[:3] + keys[-3:]:
        bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=b"")
    bucket.s3.put_object(Bucket=bucket.name, Key="kept", Body=b"")
    assert delete_objects(bucket.s3, bucket.name, keys) == []
    assert bucket.keys() == ["kept"]


def test_delete_objects_sends_at_most_a_thousand_keys_a_request(bucket: Bucket) -> None:
    sizes: list[int] = []
    bucket.s3.meta.events.register(
        "provide-client-params.s3.DeleteObjects",
        lambda params, **_: sizes.append(len(params["Delete"]["Objects"])),
    )
    delete_objects(bucket.s3, bucket.name, (f"{n}" for n in range(2001)))
    assert sizes == [1000, 1000, 1]


def test_delete_objects_of_nothing_asks_nothing(bucket: Bucket) -> None:
    assert delete_objects(bucket.s3, "no-such-bucket-here", []) == []


def test_a_presigned_url_serves_the_object(bucket: Bucket) -> None:
    bucket.s3.put_object(Bucket=bucket.name, Key="a b.csv", Body=b"data")
    url = presigned_url(bucket.s3, bucket.name, "a b.csv", expires_seconds=60)
    with urllib.request.urlopen(url) as reply:
        assert reply.read() == b"data"
    assert "X-Amz-Expires=60" in url


@pytest.mark.parametrize("seconds", [0, -1, 604_801])
def test_a_presigned_url_lives_a_week_at_most(bucket: Bucket, seconds: int) -> None:
    with pytest.raises(ValueError, match="expires_seconds"):
        presigned_url(bucket.s3, bucket.name, "a", expires_seconds=seconds)
