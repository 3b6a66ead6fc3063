"""Jobs as a command sees them: submitted, watched in the table, cancelled, and their outputs read.

Knows the rows, keys and outputs of ARCHITECTURE.md. Refuses to know whether AWS or the embedded engine answers:
the clients it is given decide that.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sluiceway.aws.file_table import FileTable
from sluiceway.aws.table import JobTable
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.states import JOB_ENDS, JobState

# States in which Step Functions has finished with an execution (API reference, DescribeExecution).
EXECUTION_ENDS = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"})


@dataclass(frozen=True, slots=True)
class InFlight:
    """A file under way, as far as it has said: `bytes` moved of `size`, None where nobody stated it."""

    key: str
    bytes: int
    size: int | None


@dataclass(frozen=True, slots=True)
class JobView:
    """A job at one moment. `error` is {"type", "message"} or None; totals are None until the files are listed."""

    job_id: str
    state: JobState
    execution: str
    files_total: int | None
    bytes_total: int | None
    counts: Counts
    in_flight: tuple[InFlight, ...] = ()
    error: Mapping[str, str] | None = None

    @property
    def ended(self) -> bool:
        return self.state in JOB_ENDS

    @property
    def bytes(self) -> int:
        return self.counts.bytes + sum(file.bytes for file in self.in_flight)


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

    def submit(self, document: Mapping[str, Any]) -> Submitted:
        """Starts `document`, whose `job_id` is set. The state carries a pointer to it, never the document."""
        job_id = document["job_id"]
        name = f"{job_id[:40]}-{uuid.uuid4()}"
        key = self.upload(f"{name}.json", json.dumps(document).encode())
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
        """Stops the execution; complete_job then ends the job as CANCELLED."""
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
        files = FileTable(self.dynamodb, self.jobs_table)
        in_flight = (InFlight(file["key"], file["bytes"], file.get("size")) for file in files.progress(job_id))
        return JobView(
            job_id=job_id,
            state=row.state,
            execution=row.execution,
            files_total=row.files_total,
            bytes_total=row.bytes_total,
            counts=files.counts(job_id, row.run),
            in_flight=tuple(in_flight),
            error=row.error,
        )

    def outputs_prefix(self, job_id: str) -> str:
        return f"jobs/{job_id}/"

    def read_report(self, job_id: str) -> Iterator[dict[str, Any]]:
        """The lines of report.jsonl, as they are read. Nothing when the job left none."""
        try:
            reply = self.s3.get_object(Bucket=self.jobs_bucket, Key=self.outputs_prefix(job_id) + "report.jsonl")
        except self.s3.exceptions.NoSuchKey:
            return
        for line in reply["Body"].iter_lines():
            yield json.loads(line)
