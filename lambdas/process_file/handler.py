"""ProcessFile: lands the files of one unit of work."""

from __future__ import annotations

from typing import Any

from sluiceway.jobs.units import Unit
from sluiceway.processing import process_unit
from sluiceway.telemetry import logger, measure_file, metrics
from sluiceway.wiring import services


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    logger.append_keys(job_id=event["job_id"])
    for task, result in process_unit(services(), event["job_id"], event["execution"], Unit(**event["unit"])):
        measure_file(task, result)
    return {"action": "DONE"}
