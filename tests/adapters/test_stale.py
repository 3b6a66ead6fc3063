"""Counting uploads that nobody will end, as S3 lists them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from sluiceway.errors import SinkDeniedError
from sluiceway.sink.stale import count_stale_uploads
from tests.conftest import AwsServer


@pytest.fixture
def bucket(moto_server: AwsServer) -> str:
    name = f"stale-{uuid4()}"
    moto_server.s3.create_bucket(Bucket=name)
    return name


@pytest.mark.parametrize(
    ("hours_later", "older_than_hours", "stale"), [(0, 24, 0), (23, 24, 0), (25, 24, 3), (2, 1, 3)]
)
def test_uploads_are_stale_once_they_are_old(
    moto_server: AwsServer, bucket: str, hours_later: int, older_than_hours: int, stale: int
) -> None:
    for key in ("a", "b", "b"):
        moto_server.s3.create_multipart_upload(Bucket=bucket, Key=key)
    moto_server.s3.put_object(Bucket=bucket, Key="whole", Body=b"x")
    # S3's clock says when they were begun, not ours.
    uploads = moto_server.s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    later = max(upload["Initiated"] for upload in uploads) + timedelta(hours=hours_later)
    older_than = timedelta(hours=older_than_hours)
    assert count_stale_uploads(moto_server.s3, bucket, now=later, older_than=older_than) == stale


def test_an_upload_that_ended_is_not_counted(moto_server: AwsServer, bucket: str) -> None:
    upload = moto_server.s3.create_multipart_upload(Bucket=bucket, Key="a")
    moto_server.s3.abort_multipart_upload(Bucket=bucket, Key="a", UploadId=upload["UploadId"])
    assert count_stale_uploads(moto_server.s3, bucket, now=datetime.now(UTC) + timedelta(days=9)) == 0


def test_a_bucket_that_is_not_there_is_an_error_not_a_zero(moto_server: AwsServer) -> None:
    with pytest.raises(SinkDeniedError, match="NoSuchBucket"):
        count_stale_uploads(moto_server.s3, "nobodys-bucket", now=datetime.now(UTC))
