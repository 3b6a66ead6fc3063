"""A job submitted again moves only what is not stored yet.

Knows how a file's end in an earlier run is held against what the job says now and what S3 has now. Refuses to trust
either alone.
"""

from __future__ import annotations

from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState
from sluiceway.sink.existing import find_existing
from sluiceway.wiring import Services


def still_stored(services: Services, task: FileTask, before: FileResult) -> FileResult | None:
    """SKIPPED with the facts of the earlier landing, where the object is still that one and nothing the job states
    about the file now speaks against it; None where it must be moved again. Raises SinkError."""
    if task.size not in (None, before.bytes):
        return None
    if any(before.digests.get(name) != value for name, value in task.digests.items()):
        return None
    existing = find_existing(services.s3, task.bucket, task.key)
    if existing is None or existing.etag != before.etag:
        return None
    return FileResult(
        FileState.SKIPPED,
        bytes=before.bytes,
        digests=before.digests,
        etag=before.etag,
        reason="stored by an earlier run of the job",
    )
