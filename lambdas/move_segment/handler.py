"""MoveSegment: moves one segment of a large file, or says where the next invocation must go on."""

from __future__ import annotations

from typing import Any

from sluiceway.landing.memory import begin_peak, peak_memory_bytes
from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.segmenting import SegmentEvent, move_one_segment
from sluiceway.telemetry import entry, logger, measure_memory, tell_job
from sluiceway.wiring import services


@entry(measures=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    begin_peak()
    tell_job(event["job_id"])
    logger.append_keys(segment=event["n"])
    time_left = TimeLeft.of(context.get_remaining_time_in_millis())
    try:
        onward = move_one_segment(services(), SegmentEvent.of(event), time_left)
    finally:
        measure_memory(peak_memory_bytes(), services().config.memory_bytes)
    return {"action": "DONE"} if onward is None else {**event, **onward}
