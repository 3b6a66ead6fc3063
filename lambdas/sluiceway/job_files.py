"""The objects of a job in the jobs bucket: their keys, and small documents read and written whole.

Knows the layout under `jobs/<job_id>/`. Refuses to know what stands in the documents.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from sluiceway.jobs.files import FileTask
from sluiceway.jobs.units import Unit, read_tasks
from sluiceway.sink.storage import download_stream, upload_buffer

if TYPE_CHECKING:
    from sluiceway.wiring import Services

DOCUMENT = "job.json"
EXPORT = "export.json"
EXPORT_LIST = "export-list.json"
MANIFEST = "manifest.jsonl"
UNITS = "units.json"
REPORT = "report.jsonl"
FAILED = "failed.jsonl"
SUMS = "SHA256SUMS"
SUMMARY = "summary.json"
# What a job that has ended leaves for its users.
OUTPUTS = (REPORT, FAILED, SUMS, SUMMARY)

READ_BYTES = 1024**2


def key_of(job_id: str, name: str) -> str:
    return f"jobs/{job_id}/{name}"


def work_prefix(job_id: str, run: int) -> str:
    """What leads the keys of everything that a run keeps from one invocation to the next, until it ends."""
    return f"jobs/{job_id}/work/{run}/"


def new_work_folder(job_id: str, run: int) -> str:
    """A folder of one invocation's own: one that is repeated, or runs twice at once, never writes over another's."""
    return f"{work_prefix(job_id, run)}{uuid.uuid4().hex}/"


def put_json(services: Services, key: str, value: bytes | Any) -> None:
    """Writes JSON text as it is, any other value as its JSON."""
    data = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    upload_buffer(services.s3, services.config.jobs_bucket, key, data, content_type="application/json")


def get_json(services: Services, key: str) -> Any:
    """Raises ObjectMissingError for a key that is not there."""
    return json.loads(get_bytes(services, services.config.jobs_bucket, key))


def get_bytes(services: Services, bucket: str, key: str, **range: int) -> bytes:
    """The whole object, or `length` bytes from `start`."""
    with download_stream(services.s3, bucket, key, **range) as stream:
        return b"".join(iter(lambda: stream.read(READ_BYTES), b""))


def tasks_of(services: Services, unit: Unit) -> list[FileTask]:
    """The files of a unit, by a range of the manifest."""
    if not unit.count:
        return []
    data = get_bytes(services, services.config.jobs_bucket, unit.manifest_key, start=unit.offset, length=unit.length)
    return list(read_tasks(data.splitlines()))
