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

from boto3.dynamodb.types import TypeDeserializer

from sluiceway.jobs.counts import Counts
from sluiceway.jobs.files import SHARDS
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
    run: int
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

    def read(self, job_id: str) -> JobView | None:
        """The job now, from its row, its counters and its files in flight; None before StartExport wrote it."""
        row = self._get(f"JOB#{job_id}", "JOB")
        if row is None:
            return None
        run = int(row["run"])
        return JobView(
            job_id=job_id,
            state=JobState(row["state"]),
            run=run,
            files_total=_whole(row.get("files_total")),
            bytes_total=_whole(row.get("bytes_total")),
            counts=self._read_counts(job_id, run),
            in_flight=self._read_in_flight(job_id),
            error=row.get("error"),
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

    def _get(self, pk: str, sk: str) -> dict[str, Any] | None:
        reply = self.dynamodb.get_item(
            TableName=self.jobs_table, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
        )
        return _plain(reply["Item"]) if "Item" in reply else None

    def _read_counts(self, job_id: str, run: int) -> Counts:
        keys = [{"pk": {"S": f"JOB#{job_id}#{shard}"}, "sk": {"S": f"COUNTERS#{run}"}} for shard in range(SHARDS)]
        reply = self.dynamodb.batch_get_item(RequestItems={self.jobs_table: {"Keys": keys, "ConsistentRead": True}})
        rows = (_plain(item) for item in reply["Responses"].get(self.jobs_table, []))
        names = Counts.__dataclass_fields__
        return sum((Counts(**{name: int(row.get(name, 0)) for name in names}) for row in rows), Counts())

    def _read_in_flight(self, job_id: str) -> tuple[InFlight, ...]:
        reply = self.dynamodb.query(
            TableName=self.jobs_table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
            ExpressionAttributeValues={":pk": {"S": f"JOB#{job_id}"}, ":sk": {"S": "PROGRESS#"}},
        )
        rows = (_plain(item) for item in reply["Items"])
        return tuple(InFlight(row["key"], int(row["bytes"]), _whole(row.get("size"))) for row in rows)


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    deserialise = TypeDeserializer().deserialize
    return {name: deserialise(value) for name, value in item.items()}


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
