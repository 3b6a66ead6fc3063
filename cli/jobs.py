"""Jobs as a command sees them: submitted, watched in the table, cancelled, and their outputs read.

Knows the rows, keys and outputs of ARCHITECTURE.md. Refuses to know whether AWS or the embedded engine answers:
the clients it is given decide that.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sluiceway.aws.file_table import FileTable
from sluiceway.aws.job_list import recent_jobs
from sluiceway.aws.rows import JobRow
from sluiceway.aws.table import JobTable
from sluiceway.job_files import DOCUMENT, REPORT, SUMMARY, key_of
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.states import JOB_ENDS, JobState

# States in which Step Functions has finished with an execution (API reference, DescribeExecution).
EXECUTION_ENDS = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"})
COPY_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class InFlight:
    """A file under way, as far as it has said: `bytes` moved of `size`, None where nobody stated it."""

    key: str
    bytes: int
    size: int | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> InFlight:
        # Of a file in segments what was moved twice is counted twice.
        moved, size = row["bytes"], row.get("size")
        return cls(row["key"], moved if size is None else min(moved, size), size)


@dataclass(frozen=True, slots=True)
class JobView:
    """A job at one moment. `error` is {"type", "message"} or None; totals are None until the files are listed, and
    `bytes_total` is where a file has no known size. Times are ISO 8601 in UTC: when this run was created, and when it
    ended."""

    job_id: str
    state: JobState
    execution: str
    files_total: int | None
    bytes_total: int | None
    counts: Counts
    in_flight: tuple[InFlight, ...] = ()
    error: Mapping[str, str] | None = None
    created_at: str = ""
    ended_at: str | None = None
    export_progress: str | None = None

    @property
    def export_told(self) -> str | None:
        """What the export API said last of how far it is, while that is what the job waits for."""
        return self.export_progress if self.state is JobState.EXPORTING else None

    @property
    def ended(self) -> bool:
        return self.state in JOB_ENDS

    @property
    def has_outputs(self) -> bool:
        """Whether its report and the rest are those of this run: they are written as it ends, over those of the run
        before. A job that was lost to its execution has not ended in the table."""
        return self.ended and self.ended_at is not None

    @property
    def bytes(self) -> int:
        return self.counts.bytes + sum(file.bytes for file in self.in_flight)

    @property
    def seconds(self) -> float:
        """How long the run has taken, or takes so far; 0 for a job that never had a row."""
        if not self.created_at:
            return 0.0
        ended = datetime.fromisoformat(self.ended_at) if self.ended_at else datetime.now(UTC)
        return (ended - datetime.fromisoformat(self.created_at)).total_seconds()


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job that was handed over: its execution's ARN is what cancels it."""

    job_id: str
    execution: str


@dataclass(frozen=True, slots=True)
class JobsClient:
    """`s3`, `dynamodb` and `stepfunctions` are botocore clients; the names are the stack's outputs."""

    s3: Any
    dynamodb: Any
    stepfunctions: Any
    jobs_bucket: str
    jobs_table: str
    state_machine_arn: str

    @classmethod
    def of_stack(cls, client: Callable[[str], Any], outputs: Mapping[str, str]) -> JobsClient:
        """`client` makes a botocore client of a service; `outputs` are the stack's. Raises KeyError naming an output
        that is not there."""
        return cls(
            s3=client("s3"),
            dynamodb=client("dynamodb"),
            stepfunctions=client("stepfunctions"),
            jobs_bucket=outputs["JobsBucket"],
            jobs_table=outputs["JobsTable"],
            state_machine_arn=outputs["StateMachineArn"],
        )

    def submit(self, document: Mapping[str, Any], manifest: Path | None = None) -> Submitted:
        """Starts `document`, whose `job_id` is set. The state carries a pointer to it, never the document. `manifest`
        is its list of files where that lies on this machine: it is uploaded, and the document points to it. Both lie
        under the execution's name: what was submitted once, no later submission replaces."""
        job_id = document["job_id"]
        name = _execution_name(job_id)
        if manifest is not None:
            with manifest.open("rb") as file:
                key = self.upload(f"{name}-{manifest.name}", file)
            source = {**document["source"], "location": f"s3://{self.jobs_bucket}/{key}"}
            document = {**document, "source": source}
        return self._start(job_id, name, self.upload(f"{name}.json", json.dumps(document).encode()))

    def submit_again(self, job_id: str) -> Submitted:
        """Starts another run of a job that has ended, from the document it had: only what is not stored moves."""
        return self._start(job_id, _execution_name(job_id), key_of(job_id, DOCUMENT))

    def _start(self, job_id: str, name: str, key: str) -> Submitted:
        pointer = {"job": {"bucket": self.jobs_bucket, "key": key}, "job_id": job_id}
        started = self.stepfunctions.start_execution(
            stateMachineArn=self.state_machine_arn, name=name, input=json.dumps(pointer)
        )
        return Submitted(job_id, started["executionArn"])

    def upload(self, name: str, body: Any) -> str:
        """Puts a request's document or manifest where the functions may read it; returns its key."""
        key = f"requests/{name}"
        self.s3.put_object(Bucket=self.jobs_bucket, Key=key, Body=body)
        return key

    def cancel(self, submitted: Submitted) -> None:
        """Asks the functions under way to stop at their next check, and stops the execution, so that no other begins;
        complete_job then ends the job as CANCELLED. Of a job that the execution does not own nothing is asked."""
        table = JobTable(self.dynamodb, self.jobs_table)
        row = table.find(submitted.job_id)
        if row is not None and row.execution == submitted.execution and not row.ended:
            table.request_cancel(submitted.job_id)
        self.stepfunctions.stop_execution(
            executionArn=submitted.execution, error="Cancelled", cause="cancelled from the command line"
        )

    def execution_status(self, submitted: Submitted) -> str:
        status: str = self.stepfunctions.describe_execution(executionArn=submitted.execution)["status"]
        return status

    def execution_end(self, submitted: Submitted) -> str:
        """What Step Functions says of an execution that has ended: `FAILED: JobIsLiveError: ...`."""
        reply = self.stepfunctions.describe_execution(executionArn=submitted.execution)
        return ": ".join(text for name in ("status", "error", "cause") if (text := reply.get(name)))

    def read(self, job_id: str) -> JobView | None:
        """The job now, from its row, its counters and its files in flight; None before StartExport wrote it."""
        row = JobTable(self.dynamodb, self.jobs_table).find(job_id)
        if row is None:
            return None
        # A function that was stopped leaves the row of its last progress behind: of an ended job it tells nothing.
        progress = [] if row.ended else FileTable(self.dynamodb, self.jobs_table).progress(job_id)
        return self._view(row, tuple(map(InFlight.of, progress)))

    def recent(self) -> Iterator[JobView]:
        """All jobs, the newest first, without the files in flight."""
        return (self._view(row, ()) for row in recent_jobs(self.dynamodb, self.jobs_table))

    def _view(self, row: JobRow, in_flight: tuple[InFlight, ...]) -> JobView:
        return JobView(
            job_id=row.job_id,
            state=row.state,
            execution=row.execution,
            files_total=row.files_total,
            bytes_total=row.bytes_total,
            counts=FileTable(self.dynamodb, self.jobs_table).counts(row.job_id, row.run),
            in_flight=in_flight,
            error=row.error,
            created_at=row.created_at,
            ended_at=row.ended_at,
            export_progress=row.export_progress,
        )

    def read_report(self, job_id: str) -> Iterator[dict[str, Any]]:
        """The lines of report.jsonl, as they are read. Nothing when the job left none."""
        try:
            reply = self.s3.get_object(Bucket=self.jobs_bucket, Key=key_of(job_id, REPORT))
        except self.s3.exceptions.NoSuchKey:
            return
        for line in reply["Body"].iter_lines():
            yield json.loads(line)

    def download(self, key: str, path: Path) -> bool:
        """The object as a file, a piece at a time; False, and no file, when there is none."""
        try:
            reply = self.s3.get_object(Bucket=self.jobs_bucket, Key=key)
        except self.s3.exceptions.NoSuchKey:
            return False
        with path.open("wb") as file:
            for piece in reply["Body"].iter_chunks(COPY_BYTES):
                file.write(piece)
        return True

    def read_summary(self, job_id: str) -> dict[str, Any] | None:
        """summary.json; None when the job left none."""
        try:
            reply = self.s3.get_object(Bucket=self.jobs_bucket, Key=key_of(job_id, SUMMARY))
        except self.s3.exceptions.NoSuchKey:
            return None
        summary: dict[str, Any] = json.loads(reply["Body"].read())
        return summary


def _execution_name(job_id: str) -> str:
    """At most 80 characters (API reference of Step Functions, StartExecution)."""
    return f"{job_id[:40]}-{uuid.uuid4()}"
