"""What stands at a key already: one HEAD."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from sluiceway.sink.translate import error_code, sink_errors

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Existing:
    """An object as HEAD describes it: its ETag, its bytes, its own metadata."""

    etag: str
    size: int
    metadata: Mapping[str, str]


def find_existing(s3: Any, bucket: str, key: str) -> Existing | None:
    """The object at the key, or None. Without the right to list the bucket S3 answers 403 for a key that is free: then
    None too, and the conditional write decides. Raises SinkError."""
    with sink_errors("head_object", bucket, key):
        try:
            head = s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            _, status = error_code(error)
            if status not in {403, 404}:
                raise
            if status == 403:
                _logger.warning("no right to see whether s3://%s/%s exists; taking it for free", bucket, key)
            return None
    return Existing(str(head["ETag"]), int(head["ContentLength"]), head.get("Metadata", {}))
