"""Uploads that nobody will finish: their process was killed, or the reply that named them was lost.

Knows how to tell them from a live one: at the same key, and either begun before an upload that has been completed
since (whoever still works on it has lost the race and will learn so), or without a single part although somebody's
reply was lost. Never raises: the bucket's lifecycle rule is the second net.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_logger = logging.getLogger(__name__)


def end_overtaken(s3: Any, bucket: str, key: str, ours: str, began: datetime) -> int:
    """Aborts the uploads at `key` that began no later than ours, which began within the second `began` (S3's clock) and
    is complete; returns how many there were."""
    return _end(s3, bucket, key, ours, lambda upload: upload["Initiated"] < began + timedelta(seconds=1))


def find_overtaken(s3: Any, bucket: str, key: str, ours: str) -> list[str]:
    """The uploads at `key` that began no later than `ours`, by S3's own list: for whoever goes on with an upload that
    another process began, and asks before it is complete and off the list."""
    try:
        began = {upload["UploadId"]: upload["Initiated"] for upload in _uploads(s3, bucket, key)}
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


def end_empty(s3: Any, bucket: str, key: str, ours: str | None) -> int:
    """Aborts the uploads at `key` without any part, after the reply that named one was lost; returns how many."""
    return _end(s3, bucket, key, ours, lambda upload: not _has_parts(s3, bucket, key, upload["UploadId"]))


def _end(s3: Any, bucket: str, key: str, ours: str | None, is_left: Any) -> int:
    ended = 0
    try:
        for upload in list(_uploads(s3, bucket, key)):
            if upload["UploadId"] != ours and is_left(upload):
                s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload["UploadId"])
                ended += 1
    except (ClientError, BotoCoreError) as error:
        _tell(bucket, key, error)
    return ended


def _tell(bucket: str, key: str, error: Exception) -> None:
    _logger.info("uploads left at s3://%s/%s stay for the lifecycle rule: %s", bucket, key, type(error).__name__)


def _uploads(s3: Any, bucket: str, key: str) -> Iterator[dict[str, Any]]:
    marker: dict[str, str] = {}
    while True:
        reply = s3.list_multipart_uploads(Bucket=bucket, Prefix=key, **marker)
        # In the order of keys: what merely begins with ours comes later.
        found = [upload for upload in reply.get("Uploads", []) if upload["Key"] == key]
        yield from found
        if not reply.get("IsTruncated") or not found:
            return
        marker = {"KeyMarker": reply["NextKeyMarker"], "UploadIdMarker": reply["NextUploadIdMarker"]}


def _has_parts(s3: Any, bucket: str, key: str, upload_id: str) -> bool:
    return bool(s3.list_parts(Bucket=bucket, Key=key, UploadId=upload_id, MaxParts=1).get("Parts"))
