"""Unfinished uploads of files that will not be finished: found and aborted.

Knows two ways to find them: the checkpoints that an execution carries, and S3's own list of open uploads for those
whose function vanished. Aborting twice does no harm. And what a job kept for itself while it ran.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sluiceway.aws.file_table import Ended
from sluiceway.aws.rows import JobRow
from sluiceway.errors import SinkError
from sluiceway.job_files import FAILED, MANIFEST, REPORT, SUMS, UNITS, key_of, work_prefix
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.sink.storage import abort_upload, delete_objects, list_keys, open_uploads
from sluiceway.wiring import Services

_logger = logging.getLogger(__name__)


def abort_carried(services: Services, tasks: Iterable[FileTask], carry: Mapping[str, Any]) -> None:
    """Aborts the uploads that checkpoints of these files name. Raises SinkError."""
    for task in tasks:
        upload_id = carry["files"].get(task.file_id, {}).get("upload_id")
        if upload_id:
            abort_upload(services.s3, task.bucket, task.key, upload_id)


def abort_refused(services: Services, job: JobRow, ended: Iterable[Ended], recorded: Iterable[Ended]) -> None:
    """Aborts the uploads that files left open, being STAGED or without a link, where the table did not record that:
    another invocation at work on them was faster. An upload that both went on with is that one's. Never raises, as
    Leftovers."""
    known = {task.file_id for task, _ in recorded}
    refused = [(task, _upload_of(result)) for task, result in ended if task.file_id not in known]
    still_open = [(task, upload_id) for task, upload_id in refused if upload_id]
    if not still_open:
        return
    staged = services.files.staged(job.job_id, job.run, [task for task, _ in still_open])
    for task, upload_id in still_open:
        if task.file_id in staged and _upload_of(staged[task.file_id]) == upload_id:
            continue
        try:
            abort_upload(services.s3, task.bucket, task.key, upload_id)
        except SinkError as error:
            _logger.warning("an unfinished upload stays for the lifecycle rule of bucket %s: %s", task.bucket, error)


def _upload_of(result: FileResult) -> str:
    return str((result.staged or result.checkpoint or {}).get("upload_id") or "")


def abort_lists(services: Services, job: JobRow) -> None:
    """Aborts the uploads of the job's own lists and outputs, which a function that was killed has left open. The job
    must have no other writer. Never raises, as Leftovers."""
    own = {key_of(job.job_id, name) for name in (MANIFEST, UNITS, REPORT, FAILED, SUMS)}
    bucket = services.config.jobs_bucket
    try:
        for key, upload_id, _ in open_uploads(services.s3, bucket, key_of(job.job_id, "")):
            if key in own:
                abort_upload(services.s3, bucket, key, upload_id)
    except SinkError as error:
        _logger.warning("unfinished uploads of bucket %s stay for its lifecycle rule: %s", bucket, error)


def remove_work(services: Services, job: JobRow) -> None:
    """Removes what the run kept from one invocation to the next. Never raises: the job has ended, and its documents
    expire by the bucket's lifecycle rule."""
    bucket, prefix = services.config.jobs_bucket, work_prefix(job.job_id, job.run)
    try:
        kept = delete_objects(services.s3, bucket, list_keys(services.s3, bucket, prefix))
    except SinkError as error:
        _logger.warning("what lies under %s stays for the bucket's lifecycle rule: %s", prefix, error)
        return
    for key, code in kept:
        _logger.warning("%s stays for the bucket's lifecycle rule: %s", key, code)


@dataclass(slots=True)
class Leftovers:
    """The open uploads of a job's run, asked of S3 once a bucket and only when a file turns out not to have landed. An
    upload begun before the run is not ours to abort. Never raises: what cannot be listed or aborted is no reason for a
    job not to end, and the bucket's lifecycle rule is the second net."""

    services: Services
    job: JobRow
    _open: dict[str, dict[str, list[str]]] = field(default_factory=dict[str, dict[str, list[str]]])

    def abort(self, task: FileTask) -> None:
        """Aborts every open upload to the task's target that began in this run."""
        try:
            if task.bucket not in self._open:
                self._open[task.bucket] = {}
                self._open[task.bucket] = self._list(task.bucket)
            for upload_id in self._open[task.bucket].pop(task.key, []):
                abort_upload(self.services.s3, task.bucket, task.key, upload_id)
        except SinkError as error:
            _logger.warning("unfinished uploads of bucket %s stay for its lifecycle rule: %s", task.bucket, error)

    def _list(self, bucket: str) -> dict[str, list[str]]:
        begun = datetime.fromisoformat(self.job.created_at).replace(microsecond=0)
        prefix = self.job.prefix
        found: dict[str, list[str]] = {}
        for key, upload_id, initiated in open_uploads(self.services.s3, bucket, prefix):
            if initiated >= begun:
                found.setdefault(key, []).append(upload_id)
        return found
