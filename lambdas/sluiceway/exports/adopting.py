"""Files that another job could not land, listed by its failed.jsonl: how they are asked for is taken over.

Knows that such a line points to the other job's object, which names secrets and the hosts they go to and holds none.
Refuses to let a list from the web name secrets, by such a pointer or outright: its writer would choose where they go.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sluiceway.errors import FieldError, InvalidJobError, ObjectMissingError
from sluiceway.exports.access import access_of
from sluiceway.exports.http_list import put_access
from sluiceway.job_files import key_of
from sluiceway.jobs.files import FileTask
from sluiceway.spec import Job
from sluiceway.spec.document import ManifestSource

if TYPE_CHECKING:
    from sluiceway.aws.rows import JobRow
    from sluiceway.wiring import Services

# Objects taken over by this process: a long list names few of them.
_adopted: dict[tuple[str, int, str], str] = {}


def adopt(services: Services, row: JobRow, job: Job, task: FileTask) -> FileTask:
    """The task with an object of its own job: a copy of the one it names, if that is another job's. Raises
    InvalidJobError where there is none, or the list may not name one."""
    if isinstance(job.source, ManifestSource) and not job.source.location.startswith("s3://"):
        for field in ("headers_secret", "access"):
            if getattr(task, field) is not None:
                where = f"file {task.n + 1}, {field}"
                raise InvalidJobError([FieldError(where, "it in a list from the web", "it only in a list kept in S3")])
    if task.access is None or task.access.startswith(key_of(row.job_id, "")):
        return task
    where = f"file {task.n + 1}, access"
    name = (row.job_id, row.run, task.access)
    if name not in _adopted:
        _adopted[name] = put_access(services, row, _read(services, task.access, where))
    return replace(task, access=_adopted[name])


def _read(services: Services, key: str, where: str) -> dict[str, object]:
    try:
        return access_of(services, key)
    except ObjectMissingError:
        expected = "an object of this deployment's jobs bucket: failed.jsonl runs where its job ran"
        raise InvalidJobError([FieldError(where, key, expected)]) from None
