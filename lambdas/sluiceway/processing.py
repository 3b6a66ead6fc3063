"""ProcessFile and RecordFailure: the files of one unit of work, landed and recorded, or recorded as failed.

Knows when a function may not begin a file, and that what one file does never harms another of its unit. Refuses to
know how bytes move: landing.py does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError

from sluiceway.announcing import announce_files
from sluiceway.aws.file_table import Ended
from sluiceway.aws.rows import JobRow
from sluiceway.errors import SluicewayError
from sluiceway.failures import Failure
from sluiceway.job_files import tasks_of
from sluiceway.jobs.counts import too_many_failed
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState, JobState
from sluiceway.jobs.units import Unit
from sluiceway.landing import Options, land
from sluiceway.wiring import Services

# Ends of a unit are written together, but not kept back for longer than this: what is written is not done twice.
HOLD_SECONDS = 5.0


def process_unit(services: Services, job_id: str, execution: str, unit: Unit) -> list[Ended]:
    """Lands the files of a unit that have no end yet, and answers with those it ended. A job that is another
    execution's, ended, cancelled, past its deadline or its failure limit gets no more files: then the list is empty.
    An error that is nobody's fault but ours is raised once every file of the unit has had its turn."""
    job = services.jobs.find(job_id)
    if job is None or not may_begin(services, job, execution):
        return []
    tasks = tasks_of(services, unit)
    done = services.files.results(job_id, job.run, tasks)
    return _Unit(services, job).work([task for task in tasks if task.file_id not in done])


def fail_unit(services: Services, job_id: str, execution: str, unit: Unit, error: Mapping[str, str]) -> list[Ended]:
    """Records the files of a unit that have no end as FAILED, for the reason that Step Functions caught: `{"Error",
    "Cause"}`. Answers with those that were new."""
    job = services.jobs.find(job_id)
    if job is None or job.execution != execution or job.ended:
        return []
    failure = Failure.of_states(error)
    result = FileResult(FileState.FAILED, error_type=failure.type, error_message=failure.message)
    recorded = services.files.end(job_id, job.run, [(task, result) for task in tasks_of(services, unit)])
    announce_files(services, job_id, recorded)
    return recorded


def may_begin(services: Services, job: JobRow, execution: str) -> bool:
    """Whether a function of this execution may begin another file of the job."""
    if job.execution != execution or job.state is not JobState.TRANSFERRING or job.cancel_requested:
        return False
    return not past_deadline(job, time.time()) and not past_failures(services, job)


def past_deadline(job: JobRow, now: float) -> bool:
    """`now` is in seconds since 1970. The deadline counts from the start of the run."""
    minutes = job.limits.get("deadline_minutes")
    begun = datetime.fromisoformat(job.created_at).astimezone(UTC).timestamp()
    return minutes is not None and now > begun + minutes * 60


def past_failures(services: Services, job: JobRow) -> bool:
    percent = job.limits.get("failed_files_percent", 100)
    # No number of failures is past 100 %, so the counters need not be read.
    if percent >= 100 or not job.files_total:
        return False
    return too_many_failed(services.files.counts(job.job_id, job.run), job.files_total, percent)


@dataclass(slots=True)
class _Unit:
    services: Services
    job: JobRow
    pending: list[Ended] = field(default_factory=list[Ended])
    ended: list[Ended] = field(default_factory=list[Ended])
    held_since: float = field(default_factory=time.monotonic)

    def work(self, tasks: list[FileTask]) -> list[Ended]:
        unexpected: list[Exception] = []
        for task in tasks:
            try:
                self.pending.append((task, self._land(task)))
            except Exception as error:  # raised below: the neighbours come first
                unexpected.append(error)
            if time.monotonic() - self.held_since >= HOLD_SECONDS and not self._record():
                break
        self._record()
        if unexpected:
            raise unexpected[0]
        return self.ended

    def _record(self) -> bool:
        """Writes the ends so far; tells whether the next file may begin."""
        recorded = self.services.files.end(self.job.job_id, self.job.run, self.pending)
        announce_files(self.services, self.job.job_id, recorded)
        self.ended += recorded
        self.pending, self.held_since = [], time.monotonic()
        job = self.services.jobs.find(self.job.job_id)
        return job is not None and may_begin(self.services, job, self.job.execution)

    def _land(self, task: FileTask) -> FileResult:
        began = time.monotonic()
        services, progress = self.services, _Progress(self.services, self.job.job_id, task)
        try:
            headers = services.secrets.headers(task.headers_secret) if task.headers_secret else None
            options = options_of(services, self.job)
            return land(task, options, client=services.source, s3=services.s3, headers=headers, on_progress=progress)
        except SluicewayError as error:
            return FileResult.of_error(error, bytes=progress.bytes, seconds=time.monotonic() - began)
        finally:
            progress.remove()


def options_of(services: Services, job: JobRow) -> Options:
    config, destination = services.config, job.destination
    return Options(
        if_exists=destination["if_exists"],
        storage_class=destination["storage_class"],
        kms_key_id=destination["kms_key_id"],
        tags=destination["tags"],
        metadata=destination["metadata"],
        max_file_bytes=job.limits["max_file_bytes"],
        uploaders=config.uploaders,
        part_bytes=config.part_bytes,
        part_checksum=config.part_checksum,
        memory_bytes=config.memory_bytes,
        job_id=job.job_id,
    )


class _Progress:
    """Shows a file in flight to whoever watches, once it takes longer than `progress_seconds`. `bytes` is how far the
    file has come."""

    def __init__(self, services: Services, job_id: str, task: FileTask) -> None:
        self._services, self._job_id, self._task = services, job_id, task
        self._written = False
        self._shown_at = time.monotonic()
        self.bytes = 0

    def __call__(self, bytes: int) -> None:
        self.bytes = bytes
        if time.monotonic() - self._shown_at < self._services.config.progress_seconds:
            return
        self._shown_at, self._written = time.monotonic(), True
        self._show(bytes)

    def _show(self, bytes: int) -> None:
        try:
            self._services.files.set_progress(self._job_id, self._task, bytes)
        except (ClientError, BotoCoreError):
            # A picture for the onlooker is not worth the file it shows; the next interval tries again.
            return

    def remove(self) -> None:
        if self._written:
            self._services.files.remove_progress(self._job_id, self._task)
