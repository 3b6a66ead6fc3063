"""RecordFailure: ends the files of a unit of work whose invocation broke."""

from __future__ import annotations

from typing import Any

from sluiceway.jobs.units import Unit
from sluiceway.processing import fail_unit
from sluiceway.telemetry import logger, measure_file, metrics
from sluiceway.wiring import services


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    logger.append_keys(job_id=event["job_id"])
    unit = Unit(**event["unit"])
    for task, result in fail_unit(services(), event["job_id"], event["execution"], unit, event["error"]):
        measure_file(task, result)
    return {"action": "DONE"}
