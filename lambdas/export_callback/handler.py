"""ExportCallback: what an export API calls when an export is done. Its URL is public: calls are proven or refused."""

from __future__ import annotations

from typing import Any

from sluiceway.control_wiring import services
from sluiceway.exports.awaiting import answer_call
from sluiceway.telemetry import CALLBACKS_REJECTED, entry, logger, metrics


@entry(measures=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    answer, job_id, why = answer_call(services(), event)
    metrics.add_metric(CALLBACKS_REJECTED, "Count", int(why is not None))
    logger.info("callback answered", job_id=job_id, status=answer["statusCode"], why=why)
    return answer
