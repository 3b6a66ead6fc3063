"""DispatchFiles: turns the list of files into a manifest and units of work."""

from __future__ import annotations

from typing import Any

from sluiceway.control_wiring import services
from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.dispatching import dispatch_files
from sluiceway.telemetry import entry, logger


@entry()
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    logger.append_keys(job_id=event["job_id"])
    time_left = TimeLeft.of(context.get_remaining_time_in_millis())
    answer = dispatch_files(services(), event["job_id"], event["execution"], time_left, event.get("draft_key"))
    logger.info("files dispatched", action=answer["action"], files=answer["files"], units=answer["units"])
    return answer
