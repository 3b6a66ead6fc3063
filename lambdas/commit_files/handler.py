"""CommitFiles: makes the staged files of an all-or-nothing job visible, or aborts them all."""

from __future__ import annotations

from typing import Any

from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.committing import commit_files
from sluiceway.steps.relays import count_idle
from sluiceway.telemetry import entry, measure_file, tell_job
from sluiceway.wiring import services


@entry(measures=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    tell_job(event["job_id"])
    time_left = TimeLeft.of(context.get_remaining_time_in_millis())
    job, execution = event["job_id"], event["execution"]
    ended, offset = commit_files(services(), job, execution, time_left, event.get("offset", 0))
    for task, result in ended:
        measure_file(task, result)
    if offset is None:
        return {**event, "action": "DONE"}
    moved = bool(ended) or offset > event.get("offset", 0)
    idle = count_idle(event.get("idle", 0), moved=moved, what=f"job {job}: committing its files")
    return {**event, "action": "CONTINUE", "offset": offset, "idle": idle}
