"""An S3 that wants the parts of an upload again: a conditional write met another at its key."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from botocore.awsrequest import AWSResponse
from urllib3 import HTTPResponse

from tests.support.deployment import Deployment

ANSWER = b"<Error><Code>ConditionalRequestConflict</Code><Message>again</Message></Error>"


def refuse_completions(deployment: Deployment, times: int, key: str = "") -> None:
    """S3 answers the next `times` completions, of uploads to `key` if it is given, with 409."""
    left = iter(range(times))

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        if (key and f"/{key}?" not in request.url) or next(left, None) is None:
            return None
        return AWSResponse(request.url, 409, {}, HTTPResponse(BytesIO(ANSWER), preload_content=False))

    deployment.movers.s3.meta.events.register("before-send.s3.CompleteMultipartUpload", answer)
