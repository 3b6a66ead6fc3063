"""CompleteJob: gives every file an end, writes the outputs, judges the job, and tells those who wait.

Knows that it may be invoked twice, for an execution that owns nothing, and before there was a manifest; and that a
large job takes it several invocations, each of which starts from a checkpoint. Holds one block of files at a time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from sluiceway.aws.file_table import BATCH_KEYS, TRANSACTION_FILES, Ended
from sluiceway.aws.rows import COMMIT, JobRow, iso
from sluiceway.job_files import FAILED, REPORT, SUMMARY, SUMS, key_of, new_work_folder, put_json
from sluiceway.jobs.counts import Counts, shortfall, verdict
from sluiceway.jobs.files import SHARDS, FileResult, FileTask
from sluiceway.jobs.report import summary
from sluiceway.jobs.states import FileState, JobState
from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.announcing import SUCCESSES, announce_job, answer_token
from sluiceway.steps.committing import completed_before
from sluiceway.steps.failures import Ending, Failure
from sluiceway.steps.gates import past_deadline, past_failures
from sluiceway.steps.leftovers import Leftovers, abort_lists, remove_work
from sluiceway.steps.manifest import manifest_blocks
from sluiceway.steps.outputs import LANDED, Outputs
from sluiceway.steps.redriving import ends_so_far, is_old_news, resumed_at_its_end
from sluiceway.steps.refreshing import send_back
from sluiceway.steps.relays import count_idle, load_checkpoint, save_checkpoint
from sluiceway.wiring import Services

# So many that files without an end fill a transaction of each shard: a job that broke early has an end to write for
# every one of them.
BLOCK_FILES = SHARDS * TRANSACTION_FILES
DEADLINE = Failure("DeadlineExceededError", "the job's deadline passed before every file had come to its end")
# Of a file that waited for its turn, and of one that was being moved.
TOO_LATE = "the job's deadline passed before this file had landed"
LOST = Failure("JobStoppedError", "the job ended before this file had come to an end of its own")

UNLISTED = Failure("JobStoppedError", "the job ended before its files were listed")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the first invocation found, and those after it keep to: whether the job was cancelled, its failure if it has
    one, and what becomes of the files that have no end."""

    cancelled: bool
    failure: Failure | None
    unfinished: FileResult

    def to_dict(self) -> dict[str, Any]:
        left = self.unfinished
        facts = {"reason": left.reason, "error_type": left.error_type, "error_message": left.error_message}
        failure = self.failure.to_dict() if self.failure else None
        return {"cancelled": self.cancelled, "failure": failure, "unfinished": {"state": left.state.value, **facts}}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Verdict:
        unfinished = FileResult(**{**value["unfinished"], "state": FileState(value["unfinished"]["state"])})
        return cls(value["cancelled"], Failure(**value["failure"]) if value["failure"] else None, unfinished)


def complete_job(services: Services, event: Mapping[str, Any], time_left: TimeLeft) -> dict[str, Any]:
    """`event` is the workflow's payload, an Execution Status Change, or an earlier answer of this function. An
    execution that owns no job, or no longer, gets status FAILED and changes nothing; a job that has ended is only told
    about again where that was missed. Raises NoProgressError."""
    ending = Ending.of_event(event)
    job_id = event.get("job_id") or services.jobs.job_of(ending.execution)
    job = services.jobs.find(job_id) if job_id else None
    if job is None or job.execution != ending.execution or is_old_news(services, job, ending):
        return {"action": "DONE", "job_id": job_id, "status": "FAILED", "files": Counts().files}
    if job.ended and not goes_on_alone(event):
        job = resumed_at_its_end(services, job, ending)
    answer = {"action": "DONE", "job_id": job.job_id, "execution": job.execution}
    carried = load_checkpoint(services, job, event.get("ending_key"))
    in_course = ending.failure is None and not ending.cancelled and not carried
    back = send_back(services, job) if in_course else None
    if back is not None:
        return answer | {"status": back.state.value, "files": {}}
    if job.ended:
        counts = services.files.counts(job.job_id, job.run)
    else:
        job = services.jobs.begin_counting(job)
        end = _End(services, job, ending, time_left, carried)
        if not end.is_over():
            paused = {"action": "CONTINUE", "ending_key": end.save(), "status": job.state.value}
            return answer | paused | {"files": end.outputs.counts.files}
        job, counts = end.judge(), end.outputs.counts
    if job.announced != job.state:
        answer_token(services, job, _summary(job, counts, str(job.ended_at)))
        announce_job(services, job, counts)
    remove_work(services, job)
    return answer | {"status": job.state.value, "files": counts.files}


def goes_on_alone(event: Mapping[str, Any]) -> bool:
    """Whether no state machine waits for the answer to this event, and none would act upon CONTINUE."""
    return "detail" in event or bool(event.get("alone"))


class _End:
    """One invocation's part of giving every file an end and writing the outputs; `carried` is what `save` left."""

    def __init__(
        self, services: Services, job: JobRow, ending: Ending, time_left: TimeLeft, carried: Mapping[str, Any]
    ) -> None:
        self._services, self._job, self._time_left = services, job, time_left
        self._folder = new_work_folder(job.job_id, job.run)
        said = carried.get("verdict")
        self._verdict = Verdict.from_dict(said) if said else _verdict(services, job, ending)
        # None once every file is in the outputs.
        self._offset: int | None = carried.get("offset", 0)
        self._idle = carried.get("idle", 0)
        self._begun = self._offset, list(carried.get("outputs", {}).get("written", []))
        self._has_ended = False
        self.outputs = Outputs(services, job, self._folder, carried.get("outputs", {}))

    def is_over(self) -> bool:
        """Goes on from where the job stands. True: every file has an end and the outputs are there."""
        return (self._offset is None or self._are_added(self._offset)) and self.outputs.write(self._time_left)

    def _are_added(self, offset: int) -> bool:
        leftovers = Leftovers(self._services, self._job)
        for tasks, offsets in manifest_blocks(self._services, self._job, offset, BLOCK_FILES):
            results = self._ends(tasks)
            if results is None:
                return False
            for task in tasks:
                # One that failed in the end may have had a function before that was killed and left an upload.
                if results[task.file_id].state not in LANDED:
                    leftovers.abort(task)
            self.outputs.add((task, results[task.file_id]) for task in tasks)
            self._offset = offsets[-1]
        self._offset = None
        return True

    def _ends(self, tasks: Sequence[FileTask]) -> dict[str, FileResult] | None:
        """The ends of these files, by file id; those that have none are given one, a transaction at a time. None: time
        ran out before the last; the table keeps what was given."""
        services, job, results = self._services, self._job, dict[str, FileResult]()
        for start in range(0, len(tasks), BATCH_KEYS):
            if self._time_left.is_short():
                return None
            results |= ends_so_far(services, job, tasks[start : start + BATCH_KEYS])
        missing = sorted((task for task in tasks if task.file_id not in results), key=lambda task: task.shard)
        if not missing:
            return results
        for _, group in groupby(missing, key=lambda task: task.shard):
            if self._time_left.is_short():
                return None
            ends = self._ends_of_the_rest(list(group))
            self._has_ended |= bool(services.files.end(job.job_id, job.run, ends, of_staged=True))
        # A function that outlived its execution may have been faster: what the table says is the end.
        return results | services.files.results(job.job_id, job.run, missing)

    def _ends_of_the_rest(self, tasks: Sequence[FileTask]) -> list[Ended]:
        """What becomes of files that have no end. Of those staged by a job that had begun to land them, S3 is asked."""
        services, job, unfinished = self._services, self._job, self._verdict.unfinished
        asks = job.links_renewable or job.decision == COMMIT
        known = services.files.known(job.job_id, job.run, tasks) if asks else {}
        ends = {file_id: _end_of(result, unfinished) for file_id, result in known.items()}
        if job.decision == COMMIT:
            found = [(task, known[task.file_id]) for task in tasks if task.file_id in known]
            ends |= completed_before(services, [pair for pair in found if pair[1].state is FileState.STAGED])
        return [(task, ends.get(task.file_id, unfinished)) for task in tasks]

    def save(self) -> str:
        """The key of what the next invocation goes on from. Raises NoProgressError."""
        outputs = self.outputs.save()
        moved = self._has_ended or (self._offset, outputs["written"]) != self._begun
        idle = count_idle(self._idle, moved=moved, what=f"job {self._job.job_id}: completing it")
        checkpoint = {"verdict": self._verdict.to_dict(), "offset": self._offset, "outputs": outputs, "idle": idle}
        return save_checkpoint(self._services, self._folder, checkpoint)

    def judge(self) -> JobRow:
        """Ends the job and writes its summary."""
        services, job, counts = self._services, self._job, self.outputs.counts
        cancelled, failure = self._verdict.cancelled, self._verdict.failure
        failure = failure if failure != DEADLINE or counts.cancelled else None
        total, tolerance = job.files_total or 0, job.tolerance
        state = verdict(counts, total, tolerance, cancelled=cancelled, error=failure is not None)
        if state is JobState.FAILED:
            failure = failure or Failure(*shortfall(counts, total, tolerance))
        facts = {"error": failure.to_dict()} if failure else {}
        cleanup = _close_export(services, job, landed=state is JobState.COMPLETED, kept=state in SUCCESSES)
        shown = {**_summary(job, counts, iso(time.time())), "status": state.value, "error": facts.get("error")}
        if cleanup is not None:
            shown["cleanup"] = cleanup
        put_json(services, key_of(job.job_id, SUMMARY), shown)
        abort_lists(services, job)
        return services.jobs.change_state(job, state, **facts)


def _verdict(services: Services, job: JobRow, ending: Ending) -> Verdict:
    cancelled, failure = ending.cancelled or job.cancel_requested, ending.failure
    if job.files_total is None and not cancelled:
        failure = failure or UNLISTED
    unfinished, failure = _end_of_the_rest(services, job, cancelled, failure)
    return Verdict(cancelled, failure, unfinished)


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
        return FileResult(FileState.CANCELLED, reason=TOO_LATE), DEADLINE
    if failure is None and past_failures(services, job):
        return FileResult(FileState.CANCELLED, reason="too many files of the job had failed"), None
    why = failure or LOST
    return FileResult(FileState.FAILED, error_type=why.type, error_message=f"{LOST.message}: {why.message}"), failure


def _end_of(known: FileResult, unfinished: FileResult) -> FileResult:
    """A file that was to be moved once more, and was not, failed for the reason why it had to be."""
    if known.state not in (FileState.RETRY_LINK, FileState.SEND_AGAIN) or unfinished.state is not FileState.FAILED:
        return unfinished
    return replace(known, state=FileState.FAILED, checkpoint=None)


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
