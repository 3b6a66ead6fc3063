"""A job of a few small files, up to its transfer, and the event of its execution's end."""

from __future__ import annotations

import json
from typing import Any

from tests.support.deployment import Deployment
from tests.support.source import Reply, SourceServer

JOB = "acme-1"


def document(source: SourceServer, count: int = 2, **more: Any) -> dict[str, Any]:
    for n in range(count):
        source.replies[f"/{n}.csv"] = Reply(b"abc")
    return {"job_id": JOB, "source": {"type": "urls", "files": [source.url(f"/{n}.csv") for n in range(count)]}, **more}


def dispatched(deployment: Deployment, source: SourceServer, count: int = 2, **more: Any) -> tuple[dict[str, str], Any]:
    """A job up to its TransferFiles: who owns it, and its units."""
    execution = deployment.new_execution()
    deployment.start(document(source, count, **more), execution)
    owner = {"job_id": JOB, "execution": execution}
    answer = deployment.invoke("dispatch_files", owner)
    return owner, json.loads(deployment.read(answer["units_key"]))


def status_event(execution: str, status: str, **detail: str) -> dict[str, Any]:
    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {"executionArn": execution, "status": status, **detail},
    }
