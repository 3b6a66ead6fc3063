"""RecordFailure: the files of a unit of work whose invocation broke, recorded as failed.

Knows what the unit may have left behind: uploads it carried, or had begun to split. Refuses to end files that are
staged: what becomes of them is decided for the whole job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluiceway.aws.file_table import Ended
from sluiceway.job_files import tasks_of
from sluiceway.jobs.files import FileResult
from sluiceway.jobs.states import FileState
from sluiceway.jobs.units import Unit
from sluiceway.sink.storage import abort_upload
from sluiceway.steps.announcing import announce_files
from sluiceway.steps.failures import Failure
from sluiceway.steps.leftovers import abort_carried
from sluiceway.steps.refreshing import awaits_link
from sluiceway.steps.segmenting import with_segments
from sluiceway.wiring import Services


def fail_unit(
    services: Services,
    job_id: str,
    execution: str,
    unit: Unit,
    error: Mapping[str, str],
    carry: Mapping[str, Any] | None = None,
    split: Mapping[str, Any] | None = None,
) -> list[Ended]:
    """Records the files of a unit that have no end as FAILED, for the reason that Step Functions caught: `{"Error",
    "Cause"}`, and aborts what was carried or split. Files that wait for a fresh link go on waiting, with what they have
    moved. Answers with those that were new."""
    job = services.jobs.find(job_id)
    if job is None or job.execution != execution or job.ended:
        return []
    tasks = tasks_of(services, unit)
    failure = Failure.of_states(error)
    result = FileResult(FileState.FAILED, error_type=failure.type, error_message=failure.message)
    known = services.files.known(job_id, job.run, tasks)
    waiting = {task.file_id for task in tasks if awaits_link(job, known.get(task.file_id))}
    if split:
        result = with_segments(services, job, tasks[0], split, result)
    failed = [task for task in tasks if task.file_id not in waiting]
    recorded = services.files.end(job_id, job.run, [(task, result) for task in failed])
    staged = services.files.staged(job_id, job.run, tasks)
    left = [task for task in tasks if task.file_id not in staged and task.file_id not in waiting]
    moved = {file_id: result.checkpoint for file_id, result in known.items() if result.checkpoint}
    for each in (moved, carry["files"] if carry else {}):
        abort_carried(services, left, {"files": each})
    if split:
        abort_upload(services.s3, tasks[0].bucket, tasks[0].key, split["upload_id"])
        services.files.remove_progress(job_id, tasks[0])
    announce_files(services, job_id, recorded)
    return recorded
