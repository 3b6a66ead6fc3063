"""CompleteJob: writes the outputs of a job, judges it, and tells those who wait."""

from __future__ import annotations

from typing import Any

from sluiceway.control_wiring import services
from sluiceway.steps.completing import complete_job
from sluiceway.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    answer = complete_job(services(), event)
    logger.info("job completed", **answer)
    return answer
