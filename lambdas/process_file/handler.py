"""ProcessFile: lands the files of one unit of work, or says what the next invocation must go on with."""

from __future__ import annotations

import gc
from typing import Any

from sluiceway.jobs.units import Unit
from sluiceway.landing.memory import begin_peak, peak_memory_bytes
from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.processing import next_step, process_unit
from sluiceway.telemetry import entry, measure_file, measure_memory, tell_job
from sluiceway.wiring import services


@entry(measures=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    begin_peak()
    tell_job(event["job_id"])
    job, execution, unit = event["job_id"], event["execution"], Unit(**event["unit"])
    time_left = TimeLeft.of(context.get_remaining_time_in_millis())
    worked = process_unit(services(), job, execution, unit, time_left, event.get("carry"))
    for task, result in worked.ended:
        measure_file(task, result)
    config = services().config
    measure_memory(peak_memory_bytes(), config.memory_bytes)
    return next_step(event, worked, is_large=config.memory_bytes >= config.large_memory_bytes)


# What is loaded by now stays: the collector begins its work after it (process_file/__init__.py).
gc.freeze()
gc.enable()
