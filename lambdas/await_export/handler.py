"""AwaitExport: leaves the token of the waiting workflow where a call of the export API finds it."""

from __future__ import annotations

from typing import Any

from sluiceway.control_wiring import services
from sluiceway.exports.awaiting import await_export
from sluiceway.telemetry import entry, logger


@entry()
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    logger.append_keys(job_id=event["job_id"])
    was_called = await_export(services(), event["job_id"], event["execution"], event["token"])
    logger.info("export awaited", was_called=was_called)
    return {"was_called": was_called}
