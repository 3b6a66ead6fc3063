"""FinishFile: completes a large file whose segments have all been moved."""

from __future__ import annotations

from typing import Any

from sluiceway.steps.segmenting import SegmentEvent, finish_file
from sluiceway.telemetry import entry, measure_file, tell_job
from sluiceway.wiring import services


@entry(measures=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    tell_job(event["job_id"])
    for task, result in finish_file(services(), SegmentEvent.of({**event, "n": 0})):
        measure_file(task, result)
    return {"action": "DONE"}
