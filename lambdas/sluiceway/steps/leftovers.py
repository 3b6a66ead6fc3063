"""Unfinished uploads of files that will not be finished: found and aborted.

Knows two ways to find them: the checkpoints that an execution carries, and S3's own list of open uploads for those
whose function vanished. Aborting twice does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sluiceway.aws.rows import JobRow
from sluiceway.jobs.files import FileTask
from sluiceway.sink.storage import abort_upload, open_uploads
from sluiceway.wiring import Services


def abort_carried(services: Services, tasks: Iterable[FileTask], carry: Mapping[str, Any]) -> None:
    """Aborts the uploads that checkpoints of these files name. Raises SinkError."""
    for task in tasks:
        upload_id = carry["files"].get(task.file_id, {}).get("upload_id")
        if upload_id:
            abort_upload(services.s3, task.bucket, task.key, upload_id)


@dataclass(slots=True)
class Leftovers:
    """The open uploads of a job's run, asked of S3 once a bucket and only when a file turns out to have no end. An
    upload begun before the run is not ours to abort."""

    services: Services
    job: JobRow
    _open: dict[str, dict[str, list[str]]] = field(default_factory=dict[str, dict[str, list[str]]])

    def abort(self, task: FileTask) -> None:
        """Aborts every open upload to the task's target that began in this run. Raises SinkError."""
        if task.bucket not in self._open:
            self._open[task.bucket] = self._list(task.bucket)
        for upload_id in self._open[task.bucket].pop(task.key, []):
            abort_upload(self.services.s3, task.bucket, task.key, upload_id)

    def _list(self, bucket: str) -> dict[str, list[str]]:
        begun = datetime.fromisoformat(self.job.created_at).replace(microsecond=0)
        prefix = self.job.prefix
        found: dict[str, list[str]] = {}
        for key, upload_id, initiated in open_uploads(self.services.s3, bucket, prefix):
            if initiated >= begun:
                found.setdefault(key, []).append(upload_id)
        return found
