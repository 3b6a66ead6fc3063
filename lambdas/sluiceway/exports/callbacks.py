"""Being called by an export API instead of asking it: the URL it is given, and what a call at that URL is worth.

Knows how a call is proven: an id that nobody guesses, an HMAC of the body, an age, and that it counts once. The token
that wakes the workflow stays in the table. The call may come before the workflow waits: whichever of the two comes
second finds the other's mark and answers. Refuses to know how the function is reached.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sluiceway.errors import CallbackRejectedError, PolicyError
from sluiceway.exports.access import NONE
from sluiceway.exports.asking import Api
from sluiceway.exports.standing import Export, Step
from sluiceway.spec.http_source import HttpSource

if TYPE_CHECKING:
    from sluiceway.aws.rows import JobRow
    from sluiceway.wiring import Services

# 256 bits: nobody tries them all.
ID_BYTES = 32
MAX_BODY_BYTES = 256 * 1024


def offer(services: Services, source: HttpSource, row: JobRow, export: Export) -> Export:
    """Makes the URL that the API is given, and the row that a call at it finds. Raises PolicyError where the deployment
    has no address for callbacks."""
    assert source.callback is not None
    if not services.config.callback_url:
        raise PolicyError("wait is callback, and this deployment has no address for callbacks")
    callback_id = secrets.token_urlsafe(ID_BYTES)
    services.callbacks.create(callback_id, row, source.callback.model_dump())
    url = f"{services.config.callback_url.rstrip('/')}/{callback_id}"
    return replace(export, callback=callback_id, callback_url=url)


def sleep(source: HttpSource, export: Export, *, now: float) -> Step | None:
    """Until a call, a missing heartbeat, or the end of the time in which one is counted on; None once that is over.
    Step Functions wants a heartbeat shorter than the timeout, so the last one stands in for it."""
    assert source.callback is not None
    left = math.ceil(export.started_at + source.callback.timeout_minutes * 60 - now)
    if left <= 0:
        return None
    heartbeat = min(left, max(1, round(source.callback.heartbeat_minutes * 60)))
    return Step("CALLBACK", max(left, heartbeat + 1), heartbeat_seconds=heartbeat)


def is_heard(services: Services, export: Export) -> bool:
    return export.callback is not None and services.callbacks.is_heard(export.callback)


def refusals(services: Services, export: Export) -> str:
    """For the outcome of a job that was never called by right: how many calls were refused, and why the last was."""
    row = services.callbacks.find(export.callback) if export.callback else None
    if row is None or "rejected" not in row:
        return ""
    return (
        f"; {row['rejected']} calls were refused ({CallbackRejectedError.__name__}), the last: {row['last_rejected']}"
    )


def await_call(services: Services, callback_id: str, token: str) -> bool:
    """Leaves the token of the waiting workflow; tells whether it was answered at once, for the call had come before."""
    if not services.callbacks.store_token(callback_id, token):
        return False
    services.tokens.succeed(token, {})
    return True


def receive(services: Services, callback_id: str, headers: Mapping[str, str], body: bytes, *, now: float) -> str:
    """A call at the URL. Answers with the job's id once the workflow is woken, or will be as soon as it waits. Raises
    CallbackRejectedError. `headers` have names in lower case."""
    row = services.callbacks.find(callback_id)
    if row is None:
        raise CallbackRejectedError("the id is unknown")
    try:
        _check(services, row["config"], headers, body, now)
        token = services.callbacks.hear(callback_id)
    except CallbackRejectedError as error:
        said = Api(services.source, services.credentials, NONE).shown(body)
        services.callbacks.note_rejected(callback_id, f"{error}: {said}")
        raise
    if token is not None:
        services.tokens.succeed(token, {})
    return str(row["job_id"])


def _check(services: Services, config: Mapping[str, Any], headers: Mapping[str, str], body: bytes, now: float) -> None:
    signed = body
    if config["timestamp_header"]:
        stamp = headers.get(config["timestamp_header"].lower(), "")
        if not stamp.isascii() or not stamp.isdigit():
            raise CallbackRejectedError(f"the header {config['timestamp_header']} is no time in seconds")
        if abs(now - int(stamp)) > config["max_age_seconds"]:
            raise CallbackRejectedError(f"the call is more than {config['max_age_seconds']} seconds old, or ahead")
        signed = f"{stamp}.".encode() + body
    stated = headers.get(config["signature_header"].lower(), "")
    key = services.secrets.text(config["secret"]).strip().encode()
    digest = hmac.new(key, signed, getattr(hashlib, config["algorithm"])).digest()
    right = digest.hex() if config["encoding"] == "hex" else base64.b64encode(digest).decode()
    if not hmac.compare_digest(stated.strip().encode(), f"{config['prefix']}{right}".encode()):
        raise CallbackRejectedError("the signature is wrong")
