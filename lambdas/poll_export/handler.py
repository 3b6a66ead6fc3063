"""PollExport: asks the export API once whether the export is done."""

from __future__ import annotations

from typing import Any

from sluiceway.control_wiring import services
from sluiceway.steps.polling import poll_export
from sluiceway.telemetry import EXPORT_WAIT_SECONDS, entry, logger, metrics, tell_job


@entry(measures=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    tell_job(event["job_id"])
    answer = poll_export(services(), event["job_id"], event["execution"])
    metrics.add_metric(EXPORT_WAIT_SECONDS, "Seconds", answer["wait_seconds"])
    logger.info("export polled", action=answer["action"], wait_seconds=answer["wait_seconds"])
    return answer
