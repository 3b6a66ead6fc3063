"""Units of files under a clock of the tests' own: every answer of the source takes as long as it is told to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sluiceway.jobs.units import Unit
from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.processing import next_step, process_unit
from tests.support.deployment import Deployment
from tests.support.ranges import RangeSource
from tests.support.source import Body, Reply, Request, SourceServer

JOB = "late"
SIZE = 100


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def taking(clock: Clock, seconds: float) -> Callable[[Request], Reply]:
    def answer(_: Request) -> Reply:
        clock.now += seconds
        return Reply(Body(SIZE))

    return answer


def unit_of(deployment: Deployment, source: SourceServer | RangeSource, count: int, size: int = SIZE) -> dict[str, Any]:
    owner = {"execution": deployment.new_execution(), "job_id": JOB}
    files = [{"url": source.url(f"/{n}"), "size": size} for n in range(count)]
    deployment.start({"job_id": JOB, "source": {"type": "urls", "files": files}}, owner["execution"])
    answer = deployment.invoke("dispatch_files", owner)
    (unit,) = json.loads(deployment.read(answer["units_key"]))
    return {**owner, "unit": unit}


def invoke(deployment: Deployment, event: dict[str, Any], clock: Clock, *, waited: float = 0.0) -> dict[str, Any]:
    """ProcessFile with 900 seconds, of which so many are gone before it comes to its files."""
    time_left = TimeLeft.of(900_000, clock=clock)
    clock.now += waited
    unit = Unit(**event["unit"])
    worked = process_unit(deployment.movers, JOB, event["execution"], unit, time_left, event.get("carry"))
    answer: dict[str, Any] = json.loads(json.dumps(next_step(event, worked)))
    return answer


def report(deployment: Deployment, event: dict[str, Any]) -> list[dict[str, Any]]:
    deployment.invoke("complete_job", {name: event[name] for name in ("execution", "job_id")})
    assert deployment.unfinished_uploads() == []
    return deployment.lines(JOB, "report.jsonl")
