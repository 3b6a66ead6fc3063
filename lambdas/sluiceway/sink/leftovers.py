"""Uploads that nobody will finish: their process was killed, or the reply that named them was lost.

Knows how to tell them from a live one: at the same key, and either begun before an upload that has been completed
since (whoever still works on it has lost the race and will learn so), or begun without a single part while a request
whose reply was lost was on its way. Never raises: the bucket's lifecycle rule is the second net.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_logger = logging.getLogger(__name__)
# S3's Date and, in some stores, Initiated are whole seconds, rounded down; and a reply takes a moment to arrive.
ROUNDED = timedelta(seconds=1)
LATE = timedelta(seconds=2)


def end_overtaken(s3: Any, bucket: str, key: str, ours: str, began: datetime) -> int:
    """Aborts the uploads at `key` that began no later than ours, which began within the second `began` (S3's clock) and
    is complete; returns how many there were."""
    return _end(s3, bucket, key, ours, lambda upload, _: upload["Initiated"] < began + ROUNDED)


def find_overtaken(s3: Any, bucket: str, key: str, ours: str) -> list[str]:
    """The uploads at `key` that began no later than `ours`, by S3's own list: for whoever goes on with an upload that
    another process began, and asks before it is complete and off the list."""
    try:
        began = {upload["UploadId"]: upload["Initiated"] for upload, _ in _uploads(s3, bucket, key)}
    except (ClientError, BotoCoreError) as error:
        _tell(bucket, key, error)
        return []
    latest = began.pop(ours, None)
    return [upload_id for upload_id, initiated in began.items() if latest is not None and initiated <= latest]


def end_found(s3: Any, bucket: str, key: str, upload_ids: Iterable[str]) -> None:
    """Aborts these uploads at `key`; one that has ended meanwhile is what was wanted."""
    for upload_id in upload_ids:
        try:
            s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        except (ClientError, BotoCoreError) as error:
            _tell(bucket, key, error)


def end_empty(s3: Any, bucket: str, key: str, ours: str | None, asked: tuple[float, float]) -> int:
    """Aborts the uploads at `key` without any part that began between the two times `asked`, of the monotonic clock,
    when requests whose replies may be lost were on their way; returns how many. Another's that began before or since
    may be about to get its first part."""

    def is_left(upload: dict[str, Any], zero: datetime) -> bool:
        first, last = (zero + timedelta(seconds=each) for each in asked)
        began = first - ROUNDED <= upload["Initiated"] <= last + LATE
        return began and not _has_parts(s3, bucket, key, upload["UploadId"])

    return _end(s3, bucket, key, ours, is_left)


def s3_time(reply: dict[str, Any]) -> datetime:
    """S3's clock, from the Date of its reply; ours where a store sends none."""
    text = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return datetime.now(UTC).replace(microsecond=0)


def _end(s3: Any, bucket: str, key: str, ours: str | None, is_left: Callable[[dict[str, Any], datetime], bool]) -> int:
    ended = 0
    try:
        for upload, zero in list(_uploads(s3, bucket, key)):
            if upload["UploadId"] != ours and is_left(upload, zero):
                s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload["UploadId"])
                ended += 1
    except (ClientError, BotoCoreError) as error:
        _tell(bucket, key, error)
    return ended


def _tell(bucket: str, key: str, error: Exception) -> None:
    _logger.info("uploads left at s3://%s/%s stay for the lifecycle rule: %s", bucket, key, type(error).__name__)


def _uploads(s3: Any, bucket: str, key: str) -> Iterator[tuple[dict[str, Any], datetime]]:
    """Each with S3's time when our monotonic clock stood at 0."""
    marker: dict[str, str] = {}
    while True:
        reply = s3.list_multipart_uploads(Bucket=bucket, Prefix=key, **marker)
        # In the order of keys: what merely begins with ours comes later.
        found = [upload for upload in reply.get("Uploads", []) if upload["Key"] == key]
        zero = s3_time(reply) - timedelta(seconds=time.monotonic())
        yield from ((upload, zero) for upload in found)
        if not reply.get("IsTruncated") or not found:
            return
        marker = {"KeyMarker": reply["NextKeyMarker"], "UploadIdMarker": reply["NextUploadIdMarker"]}


def _has_parts(s3: Any, bucket: str, key: str, upload_id: str) -> bool:
    return bool(s3.list_parts(Bucket=bucket, Key=key, UploadId=upload_id, MaxParts=1).get("Parts"))
