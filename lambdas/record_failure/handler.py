"""RecordFailure: ends the files of a unit of work whose invocation broke."""

from __future__ import annotations

from typing import Any

from sluiceway.jobs.units import Unit
from sluiceway.steps.failing import fail_unit
from sluiceway.telemetry import entry, measure_file, tell_job
from sluiceway.wiring import services


@entry(measures=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    tell_job(event["job_id"])
    job, execution, unit = event["job_id"], event["execution"], Unit(**event["unit"])
    left = event.get("carry"), event.get("split")
    for task, result in fail_unit(services(), job, execution, unit, event["error"], *left):
        measure_file(task, result)
    return {"action": "DONE"}
