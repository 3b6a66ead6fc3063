"""What Step Functions says of executions that end unseen and are redriven, for tests: moto knows no redrive."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from tests.support.deployment import Deployment


@dataclass
class Executions:
    """How often each execution that runs was redriven."""

    running: dict[str, int] = field(default_factory=dict[str, int])

    def redrives(self, execution: str) -> int:
        return self.running.get(execution, 0)


def status_event(execution: str, status: str, stopped_at: float | None = None) -> dict[str, Any]:
    """EventBridge's Execution Status Change. `stopped_at` is in seconds since 1970, now unless given."""
    detail = {"executionArn": execution, "status": status, "stopDate": int((stopped_at or time.time()) * 1000)}
    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": detail,
    }


def abort_uploads(deployment: Deployment) -> None:
    """As CompleteJob does with those begun in the job's run: moto has all of them begin in 2010."""
    s3 = deployment.client("s3")
    for upload in s3.list_multipart_uploads(Bucket=deployment.landing_bucket).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=deployment.landing_bucket, Key=upload["Key"], UploadId=upload["UploadId"])
