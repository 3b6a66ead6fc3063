"""CompleteJob: gives every file an end, writes the outputs, judges the job, and tells those who wait.

Knows that it may be invoked twice, for an execution that owns nothing, and before there was a manifest. Holds
one block of files at a time.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from sluiceway.aws.file_table import TRANSACTION_FILES, Ended
from sluiceway.aws.rows import JobRow, iso
from sluiceway.job_files import FAILED, MANIFEST, READ_BYTES, REPORT, SUMMARY, SUMS, key_of, put_json
from sluiceway.jobs.counts import Counts, verdict
from sluiceway.jobs.files import SHARDS, FileResult, FileTask
from sluiceway.jobs.report import failed_line, report_line, sum_line, summary
from sluiceway.jobs.states import FileState, JobState
from sluiceway.jobs.units import read_tasks
from sluiceway.sink.storage import ObjectWriter, download_stream
from sluiceway.steps.announcing import SUCCESSES, announce_job, answer_token
from sluiceway.steps.failures import Ending, Failure
from sluiceway.steps.gates import past_deadline, past_failures
from sluiceway.steps.leftovers import Leftovers
from sluiceway.steps.refreshing import send_back
from sluiceway.wiring import Services

# So many that files without an end fill a transaction of each shard: a job that broke early has an end to write for
# every one of them.
BLOCK_FILES = SHARDS * TRANSACTION_FILES
LANDED = frozenset({FileState.STORED, FileState.SKIPPED})
DEADLINE = Failure("DeadlineExceededError", "the job's deadline passed before every file had its turn")
LOST = Failure("JobStoppedError", "the job ended before this file had come to an end of its own")

UNLISTED = Failure("JobStoppedError", "the job ended before its files were listed")


def complete_job(services: Services, event: Mapping[str, Any]) -> dict[str, Any]:
    """`event` is the workflow's payload or an Execution Status Change. An execution that owns no job, or no longer,
    gets status FAILED and changes nothing; a job that has ended is only told about again where that was missed."""
    ending = Ending.of_event(event)
    job_id = event.get("job_id") or services.jobs.job_of(ending.execution)
    job = services.jobs.find(job_id) if job_id else None
    if job is None or job.execution != ending.execution:
        return {"job_id": job_id, "status": "FAILED", "files": Counts().files}
    back = send_back(services, job) if ending.failure is None and not ending.cancelled else None
    if back is not None:
        return {"job_id": job.job_id, "execution": job.execution, "status": back.state.value, "files": {}}
    if job.ended:
        counts = services.files.counts(job.job_id, job.run)
    else:
        job, counts = _end(services, job, ending)
    if job.announced != job.state:
        answer_token(services, job, _summary(job, counts, str(job.ended_at)))
        announce_job(services, job, counts)
    return {"job_id": job.job_id, "status": job.state.value, "files": counts.files}


def _end(services: Services, job: JobRow, ending: Ending) -> tuple[JobRow, Counts]:
    cancelled, failure = ending.cancelled or job.cancel_requested, ending.failure
    if job.files_total is None and not cancelled:
        failure = failure or UNLISTED
    unfinished, failure = _end_of_the_rest(services, job, cancelled, failure)
    counts = _write_outputs(services, job, unfinished)
    failure = failure if failure is not DEADLINE or counts.cancelled else None
    state = verdict(counts, job.files_total or 0, job.tolerated_percent, cancelled=cancelled, error=failure is not None)
    facts = {"error": failure.to_dict()} if failure else {}
    cleanup = _close_export(services, job, landed=state is JobState.COMPLETED, kept=state in SUCCESSES)
    ended_at = iso(time.time())
    shown = {**_summary(job, counts, ended_at), "status": state.value, "error": facts.get("error")}
    if cleanup is not None:
        shown["cleanup"] = cleanup
    put_json(services, key_of(job.job_id, SUMMARY), shown)
    return services.jobs.change_state(job, state, **facts), counts


def _close_export(services: Services, job: JobRow, *, landed: bool, kept: bool) -> str | None:
    """Tells the export API of the end. One whose files have landed in part keeps its export: what is missing can be
    had again. Answers with what went wrong in doing so."""
    if kept and not landed:
        return None
    from sluiceway.exports import sources

    return sources.close(services, job, landed=landed)


def _end_of_the_rest(
    services: Services, job: JobRow, cancelled: bool, failure: Failure | None
) -> tuple[FileResult, Failure | None]:
    """What becomes of the files that have no end, and the failure of the job, if that is one."""
    if cancelled:
        return FileResult(FileState.CANCELLED, reason="the job was cancelled"), failure
    if failure is None and past_deadline(job, time.time()):
        return FileResult(FileState.CANCELLED, reason=DEADLINE.message), DEADLINE
    if failure is None and past_failures(services, job):
        return FileResult(FileState.CANCELLED, reason="too many files of the job had failed"), None
    why = failure or LOST
    return FileResult(FileState.FAILED, error_type=why.type, error_message=f"{LOST.message}: {why.message}"), failure


def _write_outputs(services: Services, job: JobRow, unfinished: FileResult) -> Counts:
    """Writes report.jsonl, failed.jsonl and SHA256SUMS side by side; answers with the counts of what they list."""
    counts = Counts()
    with ExitStack() as stack:

        def output(name: str, content_type: str) -> ObjectWriter:
            key = key_of(job.job_id, name)
            return stack.enter_context(
                ObjectWriter(services.s3, services.config.jobs_bucket, key, content_type=content_type)
            )

        report = output(REPORT, "application/x-ndjson")
        failed = output(FAILED, "application/x-ndjson")
        sums = output(SUMS, "text/plain; charset=utf-8")
        for task, result in _all_ends(services, job, unfinished):
            counts += Counts.of([result])
            report.write(report_line(task, result))
            if result.state not in LANDED:
                failed.write(failed_line(task))
            sums.write(sum_line(task, result) or b"")
    return counts


def _all_ends(services: Services, job: JobRow, unfinished: FileResult) -> Iterator[Ended]:
    leftovers = Leftovers(services, job)
    for tasks in _blocks(_manifest(services, job), BLOCK_FILES):
        results = services.files.results(job.job_id, job.run, tasks)
        missing = [task for task in tasks if task.file_id not in results]
        if missing:
            waiting = services.files.retrying(job.job_id, job.run, missing) if job.links_renewable else {}
            ends = [(task, _end_of(waiting.get(task.file_id), unfinished)) for task in missing]
            services.files.end(job.job_id, job.run, ends)
            # A function that outlived its execution may have been faster: what the table says is the end.
            results |= services.files.results(job.job_id, job.run, missing)
        for task in tasks:
            # One that failed in the end may have had a function before that was killed and left an upload.
            if results[task.file_id].state not in LANDED:
                leftovers.abort(task)
        yield from ((task, results[task.file_id]) for task in tasks)


def _end_of(waiting: FileResult | None, unfinished: FileResult) -> FileResult:
    """A file that still waits for a link failed for the reason its last one gave."""
    if waiting is None or unfinished.state is not FileState.FAILED:
        return unfinished
    return replace(waiting, state=FileState.FAILED, checkpoint=None)


def _manifest(services: Services, job: JobRow) -> Iterator[FileTask]:
    """The tasks of this run; none if it broke before its manifest was whole, for what lies there is an older one."""
    if job.files_total is None:
        return
    key = key_of(job.job_id, MANIFEST)
    with download_stream(services.s3, services.config.jobs_bucket, key) as stream:
        yield from read_tasks(io.BufferedReader(stream, READ_BYTES))


def _blocks(tasks: Iterable[FileTask], size: int) -> Iterator[list[FileTask]]:
    rest = iter(tasks)
    while block := list(islice(rest, size)):
        yield block


def _summary(job: JobRow, counts: Counts, ended_at: str) -> dict[str, Any]:
    began, ended = datetime.fromisoformat(job.created_at), datetime.fromisoformat(ended_at)
    return summary(
        job.job_id,
        status=job.state.value,
        run=job.run,
        execution=job.execution,
        counts=counts,
        files_total=job.files_total or 0,
        created_at=job.created_at,
        ended_at=ended_at,
        seconds=round((ended - began).total_seconds(), 3),
        error=dict(job.error) if job.error else None,
        outputs={name: key_of(job.job_id, name) for name in (REPORT, FAILED, SUMS, SUMMARY)},
    )
