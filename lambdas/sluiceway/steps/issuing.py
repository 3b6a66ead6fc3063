"""IssueToken: an access token for whoever moves a job's files.

Knows whose request is answered: an execution's that owns a live job, for what DispatchFiles left in that job's folder.
Refuses to take a secret, a name of one or an address from the request: those stand in the job's own object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluiceway.errors import JobStoppedError, NotOwnerError, PolicyError, SluicewayError
from sluiceway.exports.access import ACCESS, NONE, access_of
from sluiceway.exports.credentials import ISSUED
from sluiceway.job_files import key_of
from sluiceway.steps.gates import is_stopped
from sluiceway.wiring import Services


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """`access` is the key of the object that says how files are asked for, `part` which of its two requests is meant:
    `auth`, for a file, or `link`, for a file's link. `refused` is the digest of a token that was not taken."""

    job_id: str
    execution: str
    access: str
    part: str
    refused: str = ""


def issue_token(services: Services, request: TokenRequest) -> dict[str, Any]:
    """`{"token", "seconds", "age"}`, or `{"error": {"type", "message"}}`: whoever asks raises it under its own name."""
    try:
        token, seconds, age = services.credentials.token(_auth_of(services, request), request.refused)
    except SluicewayError as error:
        return {"error": {"type": error.type, "message": str(error)}}
    return {"token": token, "seconds": seconds, "age": age}


def _auth_of(services: Services, request: TokenRequest) -> Mapping[str, Any]:
    job = services.jobs.owned(request.job_id, request.execution)
    if is_stopped(job, request.execution):
        raise JobStoppedError(f"job {request.job_id} takes no more files")
    prefix = key_of(job.job_id, ACCESS)
    if not request.access.startswith(prefix) or "/" in request.access.removeprefix(prefix):
        raise NotOwnerError(f"{request.access} is not an object of job {request.job_id} that says how files are had")
    access = access_of(services, request.access)
    auth: Mapping[str, Any] = access.get("link", {"auth": NONE})["auth"] if request.part == "link" else access["auth"]
    if auth["type"] not in ISSUED:
        raise PolicyError(f"auth of type {auth['type']} has no token that is issued")
    return auth
