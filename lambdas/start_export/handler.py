"""StartExport: takes the job for this execution and starts its export."""

from __future__ import annotations

from typing import Any

from sluiceway.control_wiring import services
from sluiceway.steps.starting import start_export
from sluiceway.telemetry import entry, logger


@entry()
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    answer = start_export(services(), event["input"], event["execution"], event["execution_name"])
    logger.info("export started", **answer)
    return answer
