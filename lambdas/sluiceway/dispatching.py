"""DispatchFiles: turns the list of files into manifest.jsonl (a task a line) and units.json (a unit of work an item).

Knows that the whole list is judged before the first byte of a file moves. Holds one entry at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sluiceway.announcing import announce_job
from sluiceway.aws.rows import JobRow
from sluiceway.exports import sources
from sluiceway.job_files import MANIFEST, UNITS, get_json, key_of
from sluiceway.jobs.files import FileTask
from sluiceway.jobs.states import JobState
from sluiceway.jobs.units import Unit, UnitPacker
from sluiceway.sink.storage import ObjectWriter
from sluiceway.spec import Job, load_job, read_tasks, refuse_duplicates
from sluiceway.wiring import Services


@dataclass(slots=True)
class _Totals:
    files: int = 0
    bytes: int = 0
    units: int = 0


def dispatch_files(services: Services, job_id: str, execution: str) -> dict[str, Any]:
    """Raises NotOwnerError, InvalidJobError for wrong entries, DuplicateTargetError, and what reading the list
    raises. Then neither object exists."""
    row = services.jobs.owned(job_id, execution)
    job = load_job(get_json(services, row.document_key), job_id)

    def tasks() -> Iterator[FileTask]:
        entries = sources.entries(services, job)
        return read_tasks(entries, bucket=row.destination["bucket"], prefix=row.destination["prefix"])

    totals = _write_lists(services, job_id, refuse_duplicates(tasks(), again=tasks))
    row = services.jobs.change_state(row, JobState.TRANSFERRING, files_total=totals.files, bytes_total=totals.bytes)
    announce_job(services, row)
    return {
        "job_id": job_id,
        "execution": execution,
        "action": "TRANSFER" if totals.files else "EMPTY",
        "units_key": key_of(job_id, UNITS),
        "max_concurrency": _concurrency(services, row, job),
        "files": totals.files,
        "units": totals.units,
    }


def _concurrency(services: Services, row: JobRow, job: Job) -> int:
    most = services.config.max_concurrency
    return min(most, job.limits.max_concurrency or most)


def _write_lists(services: Services, job_id: str, tasks: Iterator[FileTask]) -> _Totals:
    s3, bucket, manifest_key = services.s3, services.config.jobs_bucket, key_of(job_id, MANIFEST)
    totals = _Totals()
    packer = UnitPacker(manifest_key, services.config.batch_files)
    with (
        ObjectWriter(s3, bucket, manifest_key, content_type="application/x-ndjson") as manifest,
        ObjectWriter(s3, bucket, key_of(job_id, UNITS), content_type="application/json") as units,
    ):

        def write_unit(unit: Unit | None) -> None:
            if unit is not None:
                units.write((b",\n" if totals.units else b"[") + unit.to_json())
                totals.units += 1

        for task in tasks:
            line = task.to_line()
            manifest.write(line)
            write_unit(packer.feed(len(line)))
            totals.files += 1
            totals.bytes += task.size or 0
        write_unit(packer.finish())
        units.write(b"]" if totals.units else b"[]")
    return totals
