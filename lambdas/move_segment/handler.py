"""MoveSegment: moves one segment of a large file, or says where the next invocation must go on."""

from __future__ import annotations

from typing import Any

from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.segmenting import SegmentEvent, move_one_segment
from sluiceway.telemetry import logger
from sluiceway.wiring import services


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    logger.append_keys(job_id=event["job_id"], segment=event["n"])
    time_left = TimeLeft.of(context.get_remaining_time_in_millis())
    position = move_one_segment(services(), SegmentEvent.of(event), time_left)
    return {"action": "DONE"} if position is None else {**event, "action": "CONTINUE", "position": position}
