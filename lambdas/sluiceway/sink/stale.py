"""Multipart uploads that were begun and never ended: they are stored, paid for, and seen in no listing of objects.

Knows how S3 lists them. Refuses to end any: the bucket's lifecycle rule does that when no job can need them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sluiceway.sink.translate import sink_errors

# Twice the default deadline of a job: no job is still working on an upload this old.
STALE_AFTER = timedelta(days=1)


def count_stale_uploads(s3: Any, bucket: str, *, now: datetime, older_than: timedelta = STALE_AFTER) -> int:
    """Unfinished uploads in `bucket` begun before `now - older_than`. Raises SinkError, as the calls that land do."""
    with sink_errors("ListMultipartUploads", bucket, ""):
        pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
        return sum(upload["Initiated"] < now - older_than for page in pages for upload in page.get("Uploads", []))
