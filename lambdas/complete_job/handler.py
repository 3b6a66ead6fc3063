"""CompleteJob: writes the outputs of a job, judges it, and tells those who wait."""

from __future__ import annotations

from typing import Any

from sluiceway.control_wiring import services
from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.completing import complete_job, goes_on_alone
from sluiceway.telemetry import entry, logger


@entry()
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    answer = complete_job(services(), event, TimeLeft.of(context.get_remaining_time_in_millis()))
    if answer["action"] == "CONTINUE" and goes_on_alone(event):
        services().functions.invoke_later(context.function_name, {**answer, "alone": True})
    logger.info("job completed", **answer)
    return answer
