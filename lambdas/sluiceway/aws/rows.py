"""How rows of the jobs table look: their keys, their attributes, and the job row as a value.

Knows DynamoDB's attribute notation, which boto3's own (de)serialiser would bring at the price of importing boto3.
Refuses to read or write anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sluiceway.jobs.counts import Tolerance
from sluiceway.jobs.fields import fill, values_of
from sluiceway.jobs.files import SHARDS, FileTask
from sluiceway.jobs.states import JOB_ENDS, JobState

Attributes = dict[str, dict[str, Any]]

ALL_OR_NOTHING = "all-or-nothing"
# What such a job comes to.
COMMIT, ABORT = "commit", "abort"

# All runs of all jobs, by time: a row a run, written once. One partition takes 1,000 writes a second, DynamoDB
# Developer Guide, "Partitions and data distribution"; Step Functions starts fewer executions than that.
LISTED = "JOBS"

# Rows outlive the job for the report, the rerun and the auditor; then DynamoDB's time to live takes them.
KEEP_SECONDS = 90 * 24 * 3600
# A job's row outlives those of its files: where it is gone its runs count from 1 again, and what is left of the old run
# 1 would be taken for the new one's. DynamoDB Developer Guide, "Time to live": items go within a few days.
SPARE_SECONDS = 14 * 24 * 3600
PROGRESS_KEEP_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as the table has it. Times are ISO 8601 in UTC. `files_total` and `bytes_total` are None until the
    manifest of this run is written; `bytes_total` also where a file has no known size. `announced` is the state the
    event bus was told last; `error` is {"type", "message"}; `task_token` waits for an answer. `decision` is what an
    all-or-nothing job has come to: COMMIT or ABORT. `created_at` is this run's start, `begun_at` the first's.
    `links_renewable`: its source lists the files anew with fresh links; `links_round` counts how often it did,
    `links_seen` for how many files so far. `redrives` counts those of the execution that the job has gone on after,
    each in a run of its own. `counting`: CompleteJob has begun to count this run's ends, and no end takes another's
    place any more. `patience` tells until when (seconds since 1970) a host asked to be left alone;
    `export_progress` is what the export API last said of how far it is."""

    job_id: str
    state: JobState
    run: int
    execution: str
    created_at: str
    updated_at: str
    document_key: str
    destination: Mapping[str, Any]
    limits: Mapping[str, Any]
    commit: str = "per-file"
    decision: str | None = None
    previous: str | None = None
    announced: str | None = None
    ended_at: str | None = None
    files_total: int | None = None
    bytes_total: int | None = None
    cancel_requested: bool = False
    task_token: str | None = None
    error: Mapping[str, str] | None = None
    begun_at: str | None = None
    patience: Mapping[str, float] | None = None
    links_renewable: bool = False
    links_round: int = 0
    links_seen: int = 0
    redrives: int = 0
    counting: bool = False
    export_progress: str | None = None

    @property
    def fields(self) -> dict[str, str]:
        """What fields in keys stand for. All runs of a job have the same, or a file would move again after midnight."""
        return values_of(self.job_id, self.begun_at or self.created_at)

    @property
    def prefix(self) -> str:
        """What leads every key, its fields filled."""
        return fill(self.destination["prefix"], self.fields)

    @property
    def tolerance(self) -> Tolerance:
        """Files that may fail: what the job says, else any number, or none where all are to land."""
        percent, files = self.limits.get("failed_files_percent"), self.limits.get("failed_files")
        if percent is None:
            percent = 0.0 if self.commit == ALL_OR_NOTHING and files is None else 100.0
        return Tolerance(float(percent), files)

    @property
    def stages(self) -> bool:
        """Whether a file whose bytes are all sent must wait for the others."""
        return self.commit == ALL_OR_NOTHING and self.decision != COMMIT

    @property
    def created_seconds(self) -> float:
        """The start of this run in seconds since 1970."""
        return datetime.fromisoformat(self.created_at).astimezone(UTC).timestamp()

    @property
    def stamp(self) -> str:
        """This run's start as letters and digits: tells it from all others of the id. `run` does not: it counts from 1
        again where the table has forgotten the job, or is a new one, while the bucket keeps the job's objects."""
        return "".join(char for char in self.created_at if char.isalnum())

    @property
    def ended(self) -> bool:
        return self.state in JOB_ENDS

    @property
    def over(self) -> str:
        """Why a redriven execution cannot go on with the job that had ended with it, and what to do instead."""
        why = ""
        if self.files_total is None:
            why = ": its files were not listed yet, and its source was told of the end"
        elif self.commit == ALL_OR_NOTHING:
            why = ": what it had staged was given up with it"
        return f"job {self.job_id} has ended as {self.state}{why}; submit it again (sluiceway rerun {self.job_id})"

    @classmethod
    def from_attributes(cls, attributes: Attributes) -> JobRow:
        row = from_attributes(attributes)
        fields = {name: row[name] for name in cls.__dataclass_fields__ if name in row}
        return cls(**{**fields, "job_id": row["pk"].removeprefix("JOB#"), "state": JobState(row["state"])})


def job_key(job_id: str) -> Attributes:
    return to_attributes({"pk": f"JOB#{job_id}", "sk": "JOB"})


def execution_key(execution: str) -> Attributes:
    return to_attributes({"pk": f"EXECUTION#{execution}", "sk": "EXECUTION"})


def listed_key(created_at: str, job_id: str) -> Attributes:
    return to_attributes({"pk": LISTED, "sk": f"{created_at}#{job_id}"})


def file_key(job_id: str, task: FileTask) -> Attributes:
    return to_attributes({"pk": f"JOB#{job_id}#{task.shard}", "sk": f"FILE#{task.file_id}"})


def segment_key(job_id: str, task: FileTask, attempt: str, name: str) -> Attributes:
    return to_attributes({"pk": f"JOB#{job_id}#{task.shard}", "sk": f"SEGMENT#{task.file_id}#{attempt}#{name}"})


def progress_key(job_id: str, task: FileTask) -> Attributes:
    return to_attributes({"pk": f"JOB#{job_id}", "sk": f"PROGRESS#{task.file_id}"})


def counter_key(job_id: str, run: int, shard: int) -> Attributes:
    return to_attributes({"pk": f"JOB#{job_id}#{shard}", "sk": f"COUNTERS#{run}"})


def counter_keys(job_id: str, run: int) -> list[Attributes]:
    return [counter_key(job_id, run, shard) for shard in range(SHARDS)]


def iso(timestamp: float) -> str:
    """Seconds since 1970 -> `2026-11-23T18:04:05.123Z`."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_attributes(row: Mapping[str, Any]) -> Attributes:
    return {name: to_attribute(value) for name, value in row.items()}


def to_attribute(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": str(value)}
        case int() | float():
            return {"N": str(value)}
        case Mapping():
            return {"M": to_attributes(value)}
        case list() | tuple():
            return {"L": [to_attribute(item) for item in value]}
    raise TypeError(f"no attribute for {type(value).__name__}")


def from_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: from_attribute(value) for name, value in attributes.items()}


def from_attribute(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    match kind:
        case "NULL":
            return None
        case "S" | "BOOL":
            return value
        case "N":
            return int(value) if value.lstrip("-").isdigit() else float(value)
        case "M":
            return from_attributes(value)
        case "L":
            return [from_attribute(item) for item in value]
    raise TypeError(f"no value for an attribute of type {kind}")
