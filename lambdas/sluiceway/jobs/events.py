"""What Sluiceway tells the event bus: the two kinds of event and what stands in each.

Knows the shape of the details, which other people's rules match on. Refuses to know how an event is delivered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sluiceway.jobs.counts import Counts
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.redact import redact_url

SOURCE = "sluiceway"
JOB_STATE_CHANGE = "Sluiceway Job State Change"
FILE_STATE_CHANGE = "Sluiceway File State Change"


@dataclass(frozen=True, slots=True)
class Event:
    """`detail_type` and `detail` as EventBridge names them."""

    detail_type: str
    detail: dict[str, Any]


def job_event(
    job_id: str,
    *,
    state: str,
    previous: str | None,
    run: int,
    execution: str,
    counts: Counts | None = None,
    error: dict[str, str] | None = None,
) -> Event:
    """`previous` is None for the first state of a run. `error` is {"type", "message"}."""
    counts = counts or Counts()
    return Event(
        JOB_STATE_CHANGE,
        {
            "job_id": job_id,
            "state": state,
            "previous": previous,
            "run": run,
            "execution": execution,
            "files": counts.files,
            "bytes": counts.bytes,
            "error": error,
        },
    )


def file_event(job_id: str, task: FileTask, result: FileResult) -> Event:
    return Event(
        FILE_STATE_CHANGE,
        {
            "job_id": job_id,
            "bucket": task.bucket,
            "key": task.key,
            "url": redact_url(task.url),
            "state": result.state.value,
            "bytes": result.bytes,
            "error": error_of(result),
        },
    )


def error_of(result: FileResult) -> dict[str, str] | None:
    """`{"type", "message"}` of a file that has an error, else None."""
    if result.error_type is None:
        return None
    return {"type": result.error_type, "message": result.error_message or ""}
