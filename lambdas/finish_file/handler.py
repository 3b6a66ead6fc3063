"""FinishFile: completes a large file whose segments have all been moved."""

from __future__ import annotations

from typing import Any

from sluiceway.steps.segmenting import SegmentEvent, finish_file
from sluiceway.telemetry import logger, measure_file, metrics, tell_job
from sluiceway.wiring import services


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    tell_job(event["job_id"])
    for task, result in finish_file(services(), SegmentEvent.of({**event, "n": 0})):
        measure_file(task, result)
    return {"action": "DONE"}
