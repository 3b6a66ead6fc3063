"""CommitFiles: makes the staged files of an all-or-nothing job visible, or aborts them all.

Knows that files sent again after it are no longer one with the others: the state machine does not lead them back here.
"""

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
    begun = event.get("offset", 0)
    committed = commit_files(services(), job, execution, time_left, begun, event.get("again", ()))
    for task, result in committed.ended:
        measure_file(task, result)
    if committed.units_key is not None:
        return {**event, "action": "SEND_AGAIN", "units_key": committed.units_key, "commit": "per-file"}
    if committed.offset is None:
        return {**event, "action": "DONE"}
    moved = bool(committed.ended) or committed.offset > begun
    idle = count_idle(event.get("idle", 0), moved=moved, what=f"job {job}: committing its files")
    return {**event, "action": "CONTINUE", "offset": committed.offset, "again": committed.again, "idle": idle}
