"""Steps of a job that outlast an invocation: what they carry, and when they have gone on for nothing.

Knows that a checkpoint is a document of its own in the jobs bucket, never changed once written: the state machine
holds its key, so an invocation that is repeated begins where it began before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluiceway.aws.rows import JobRow
from sluiceway.errors import NoProgressError
from sluiceway.job_files import get_json, put_json, work_prefix
from sluiceway.landing.relaying import MAX_IDLE
from sluiceway.wiring import Services


def save_checkpoint(services: Services, folder: str, checkpoint: Mapping[str, Any]) -> str:
    """Writes it into `folder`, which must be this invocation's own; answers with its key. Raises SinkError."""
    key = f"{folder}checkpoint.json"
    put_json(services, key, checkpoint)
    return key


def load_checkpoint(services: Services, job: JobRow, key: str | None) -> dict[str, Any]:
    """Empty without a key, for one of another run, which began anew since, and for a job that has ended: nothing is
    kept of it. Raises SinkError for any other that is not there."""
    if key is None or job.ended or not key.startswith(work_prefix(job.job_id, job.run)):
        return {}
    loaded: dict[str, Any] = get_json(services, key)
    return loaded


def count_idle(idle: int, *, moved: bool, what: str) -> int:
    """How many invocations in a row have done nothing, this one included. Raises NoProgressError at MAX_IDLE."""
    idle = 0 if moved else idle + 1
    if idle >= MAX_IDLE:
        raise NoProgressError(f"{what}: {idle} invocations in a row ran out of time before they had done anything")
    return idle
