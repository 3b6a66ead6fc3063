"""AwaitExport and ExportCallback: the two sides of a call that a workflow waits for.

Knows the event of a Lambda function URL and what its caller may be told: as little as possible. Refuses to judge a
call: callbacks.py does.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sluiceway.errors import CallbackRejectedError
from sluiceway.exports import callbacks
from sluiceway.exports.standing import begin

if TYPE_CHECKING:
    from sluiceway.wiring import Services

Answer = dict[str, Any]


def await_export(services: Services, job_id: str, execution: str, token: str) -> bool:
    """Leaves the token; tells whether it was answered at once, for the call had come before. Raises NotOwnerError."""
    export = begin(services, services.jobs.owned(job_id, execution))
    if export.callback is None:
        raise CallbackRejectedError(f"job {job_id} waits for no call")
    return callbacks.await_call(services, export.callback, token)


def answer_call(services: Services, event: Mapping[str, Any]) -> tuple[Answer, str | None, str | None]:
    """The answer to a call, the job it was for, and why it was refused. `event` is that of a function URL (Lambda
    developer guide, "Request and response payloads", format 2.0). A caller learns of a refusal, not of its reason."""
    callback_id = str(event.get("rawPath", "")).strip("/")
    headers = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    try:
        body = _body(event)
        job_id = callbacks.receive(services, callback_id, headers, body, now=time.time())
    except CallbackRejectedError as error:
        return {"statusCode": 403, "body": "rejected"}, None, str(error)
    return {"statusCode": 202, "body": "accepted"}, job_id, None


def _body(event: Mapping[str, Any]) -> bytes:
    method = event.get("requestContext", {}).get("http", {}).get("method")
    if method != "POST":
        raise CallbackRejectedError(f"a call is a POST, found {str(method)[:10]}")
    text = str(event.get("body") or "")
    if len(text) > callbacks.MAX_BODY_BYTES:
        raise CallbackRejectedError(f"the body exceeds {callbacks.MAX_BODY_BYTES} bytes")
    if not event.get("isBase64Encoded"):
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise CallbackRejectedError("the body is not base64") from None
