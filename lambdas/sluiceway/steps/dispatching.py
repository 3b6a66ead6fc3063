"""DispatchFiles: turns the list of files into manifest.jsonl (a task a line) and units.json (a unit of work an item).

Knows that the whole list is judged before the first byte of a file moves. Holds one entry at a time;
dispatch_lists.py writes the two lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from typing import Any

from sluiceway.aws.rows import JobRow
from sluiceway.exports import sources
from sluiceway.exports.adopting import adopt
from sluiceway.job_files import MANIFEST, UNITS, get_json, key_of
from sluiceway.jobs.files import FileTask
from sluiceway.jobs.states import JobState
from sluiceway.spec import Job, load_job, read_tasks, refuse_duplicates
from sluiceway.steps.announcing import announce_job
from sluiceway.steps.dispatch_lists import Lists, Totals
from sluiceway.steps.relisting import with_fresh_links
from sluiceway.wiring import Services


def dispatch_files(services: Services, job_id: str, execution: str) -> dict[str, Any]:
    """Raises NotOwnerError, InvalidJobError for wrong entries, DuplicateTargetError, and what reading the list
    raises. Then neither object exists."""
    row = services.jobs.owned(job_id, execution)
    job = load_job(get_json(services, row.document_key), job_id)

    def tasks() -> Iterator[FileTask]:
        entries = sources.entries(services, job, row)
        for task in read_tasks(entries, bucket=row.destination["bucket"], prefix=row.prefix, fields=row.fields):
            task = adopt(services, row, job, task)
            yield task if task.split or not job.split else replace(task, split=job.split)

    totals = _write_lists(services, row, refuse_duplicates(tasks(), again=tasks))
    row = services.jobs.change_state(row, JobState.TRANSFERRING, files_total=totals.files, bytes_total=totals.bytes)
    announce_job(services, row)
    return {
        "job_id": job_id,
        "execution": execution,
        "action": "TRANSFER" if totals.files else "EMPTY",
        "units_key": key_of(job_id, UNITS),
        "max_concurrency": _concurrency(services, row, job),
        "commit": row.commit,
        "files": totals.files,
        "units": totals.units,
    }


def _concurrency(services: Services, row: JobRow, job: Job) -> int:
    most = services.config.max_concurrency
    return min(most, job.limits.max_concurrency or most)


def _write_lists(services: Services, row: JobRow, tasks: Iterator[FileTask]) -> Totals:
    job_id = row.job_id
    with Lists(services.s3, services.config, key_of(job_id, MANIFEST), key_of(job_id, UNITS)) as lists:
        for task, is_wanted in (
            with_fresh_links(services, row, tasks) if row.links_round else zip(tasks, repeat(True), strict=False)
        ):
            lists.add(task, is_wanted=is_wanted)
    return lists.totals
