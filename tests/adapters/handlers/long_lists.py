"""Jobs whose steps are cut after a number of looks at the clock, and lists to cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.completing import complete_job
from sluiceway.steps.dispatching import dispatch_files
from tests.support.deployment import Deployment
from tests.support.source import SourceServer

JOB = "long"
PLENTY = 10**9


def looks(number: int) -> TimeLeft:
    """Time that is over when it has been looked at `number` times."""
    return TimeLeft(number, count().__next__)


def begin(deployment: Deployment, document: dict[str, Any]) -> dict[str, str]:
    execution = deployment.new_execution()
    deployment.start(document, execution)
    return {"job_id": document["job_id"], "execution": execution}


def dispatch(deployment: Deployment, owner: dict[str, str], each: int, *, twice: bool = False) -> list[dict[str, Any]]:
    """Every answer of DispatchFiles until it is done, each invocation with `each` looks at the clock. `twice`: each is
    repeated with what it was given, as after a crash before its answer arrived; the second answer counts."""
    answers: list[dict[str, Any]] = [{}]
    while answers[-1].get("action", "CONTINUE") == "CONTINUE":
        key = answers[-1].get("draft_key")
        for _ in range(2 if twice else 1):
            answer = dispatch_files(deployment.services, owner["job_id"], owner["execution"], looks(each), key)
        assert len(json.dumps(answer)) < 1000
        answers.append(answer)
    return answers[1:]


def complete(deployment: Deployment, owner: dict[str, Any], each: int, *, twice: bool = False) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = [{**owner, "action": "CONTINUE"}]
    while answers[-1]["action"] == "CONTINUE":
        for _ in range(2 if twice else 1):
            answer = complete_job(deployment.services, answers[-1], looks(each))
        assert len(json.dumps(answer)) < 1000
        answers.append(answer)
    return answers[1:]


def objects(deployment: Deployment, job_id: str, *names: str) -> dict[str, bytes]:
    return {name: deployment.read(f"jobs/{job_id}/{name}").replace(job_id.encode(), b"JOB") for name in names}


def entries(source: SourceServer, number: int = 20) -> Iterator[dict[str, Any]]:
    """Files of every kind: small, large, and of unknown size."""
    sizes = (10, None, 70_000_000, 30, 90_000_000)
    for n in range(number):
        size = sizes[n % len(sizes)]
        yield {"url": source.url(f"/f{n}?sig=s3cret"), "key": f"f{n:02}"} | ({"size": size} if size else {})


def listed(source: SourceServer, job_id: str, **more: Any) -> dict[str, Any]:
    return {"job_id": job_id, "source": {"type": "urls", "files": list(entries(source))}, **more}


def dispatched(deployment: Deployment, owner: dict[str, str]) -> dict[str, str]:
    dispatch(deployment, owner, PLENTY)
    return owner
