"""CommitFiles: the files of an all-or-nothing job, staged so far, become visible together or not at all.

Knows that the decision is written down before the first file is touched, so whoever goes on after a crash does the
same; that completing a file twice gives the same file; and that S3 has no transaction over objects: between the first
and the last Complete some are visible and some are not, and a reader who must not see that reads summary.json first.
A file of which S3 wants every part again is left to TransferFiles.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from sluiceway.aws.file_table import BATCH_KEYS, Ended
from sluiceway.aws.rows import ABORT, COMMIT, JobRow
from sluiceway.errors import FileExistsInSinkError, SendAgainError, SinkError, SluicewayError
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FILE_ENDS, FileState
from sluiceway.landing.facts import late_tags
from sluiceway.landing.relaying import TimeLeft
from sluiceway.pieces import Saved
from sluiceway.sink.staged import Staged, complete_staged, find_completed
from sluiceway.sink.storage import abort_upload
from sluiceway.steps.announcing import announce_files
from sluiceway.steps.gates import past_deadline
from sluiceway.steps.manifest import manifest_blocks
from sluiceway.steps.refreshing import links_asked
from sluiceway.steps.resending import UnitsAgain, to_send_again
from sluiceway.steps.tools import options_of
from sluiceway.wiring import Services

# Files completed at a time, each a few requests to S3.
THREADS = 8


@dataclass(frozen=True, slots=True)
class Committed:
    """What an invocation did: the files it `ended`, and the byte of the manifest from which the next goes on, None at
    its end. Files that must be sent again are in pieces of a list until then (`again`), and at the end in the list of
    units that `units_key` names."""

    ended: list[Ended]
    offset: int | None = None
    again: Saved = ()
    units_key: str | None = None


def commit_files(
    services: Services, job_id: str, execution: str, time_left: TimeLeft, offset: int = 0, again: Saved = ()
) -> Committed:
    """Completes or aborts every staged file from byte `offset` of the manifest on; `again` is what the invocation
    before left. Nothing is decided while files wait for fresh links: CompleteJob sends the job back for them, and what
    is staged stays so. Raises NotOwnerError."""
    job = services.jobs.owned(job_id, execution)
    if job.decision is None:
        if links_asked(services, job):
            return Committed([])
        job = services.jobs.decide(job, _decision(services, job))
    units, ended = UnitsAgain(services, job, again), list[Ended]()
    with ThreadPoolExecutor(THREADS, "commit") as pool:
        for block, offsets in manifest_blocks(services, job, offset, BATCH_KEYS):
            if time_left.is_short():
                return Committed(ended, offset, units.save())
            known = services.files.known(job.job_id, job.run, block)
            staged = [(task, known[task.file_id]) for task in block if _is(known.get(task.file_id), FileState.STAGED)]
            results = list(pool.map(lambda pair: None if time_left.is_short() else _end(services, job, *pair), staged))
            done = [pair for pair in results if pair is not None]
            recorded = services.files.end(job.job_id, job.run, done, of_staged=True)
            announce_files(services, job.job_id, recorded)
            ended += [(task, result) for task, result in recorded if result.state in FILE_ENDS]
            if len(done) < len(staged):
                return Committed(ended, offset, units.save())
            known |= {task.file_id: result for task, result in done}
            for task, begin, end in zip(block, offsets, offsets[1:], strict=False):
                if _is(known.get(task.file_id), FileState.SEND_AGAIN):
                    units.add(begin, end - begin)
            offset = offsets[-1]
    return Committed(ended, units_key=units.write())


def _is(known: FileResult | None, state: FileState) -> bool:
    return known is not None and known.state is state


def completed_before(services: Services, staged: Sequence[Ended]) -> dict[str, FileResult]:
    """The ends, by file id, of those staged files that a commit had completed before it broke and could say so; and
    what is known of those that S3 does not tell of. The others' uploads are aborted, after which nobody completes
    them any more."""
    with ThreadPoolExecutor(THREADS, "settle") as pool:
        found = pool.map(lambda pair: _completed(services, *pair), staged)
        return {task.file_id: end for (task, _), end in zip(staged, found, strict=True) if end is not None}


def _completed(services: Services, task: FileTask, result: FileResult) -> FileResult | None:
    staged = Staged.from_dict(result.staged or {})
    try:
        # Completing may still be under way. The abort ends that: afterwards the object is there or will never be.
        abort_upload(services.s3, task.bucket, task.key, staged.upload_id)
        etag = find_completed(services.s3, task.bucket, task.key, staged)
    except SinkError as error:
        error.add_note("asked whether the file had been completed before the commit broke")
        return result.ended_by(error)
    reason = "became visible before the commit broke"
    return None if etag is None else replace(result, state=FileState.STORED, staged=None, etag=etag, reason=reason)


def _decision(services: Services, job: JobRow) -> str:
    """COMMIT where every file that is not staged or landed is within what the job tolerates."""
    counts, total = services.files.counts(job.job_id, job.run), job.files_total or 0
    missing = total - counts.staged - counts.landed
    if job.cancel_requested or past_deadline(job, time.time()) or job.tolerance.is_passed(missing, total):
        return ABORT
    return COMMIT


def _end(services: Services, job: JobRow, task: FileTask, result: FileResult) -> Ended:
    staged = Staged.from_dict(result.staged or {})
    if job.decision == ABORT:
        abort_upload(services.s3, task.bucket, task.key, staged.upload_id)
        why = "the job lands all of its files or none, and some could not be"
        return task, replace(result, state=FileState.CANCELLED, staged=None, reason=why)
    options = options_of(services, job)
    condition = {"IfNoneMatch": "*"} if options.if_exists == "never" else {}
    tags = late_tags(options, result)
    try:
        etag = complete_staged(services.s3, task.bucket, task.key, staged, condition, tags)
    except FileExistsInSinkError as error:
        abort_upload(services.s3, task.bucket, task.key, staged.upload_id)
        return task, replace(result, state=FileState.SKIPPED, staged=None, reason=str(error))
    except SendAgainError as error:
        abort_upload(services.s3, task.bucket, task.key, staged.upload_id)
        return task, to_send_again(result, error)
    except SluicewayError as error:
        return task, result.ended_by(error)
    return task, replace(result, state=FileState.STORED, staged=None, etag=etag)
