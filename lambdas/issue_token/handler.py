"""IssueToken: an access token for whoever moves a job's files. Neither the token nor the answer is ever logged."""

from __future__ import annotations

from typing import Any

from sluiceway.control_wiring import services
from sluiceway.steps.issuing import TokenRequest, issue_token
from sluiceway.telemetry import entry, logger


@entry()
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    logger.append_keys(job_id=event["job_id"])
    answer = issue_token(services(), TokenRequest(**event))
    logger.info("token asked for", error=answer.get("error"), seconds=answer.get("seconds"))
    return answer
