"""Where an export stands, in export.json in the jobs bucket: neither the table nor a state may hold a link.

Knows how it is written and read. Refuses to know what is asked of the API.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from sluiceway.errors import ObjectMissingError
from sluiceway.exports.filling import Heard
from sluiceway.job_files import EXPORT, EXPORT_LIST, get_bytes, get_json, key_of, put_json

if TYPE_CHECKING:
    from sluiceway.aws.rows import JobRow
    from sluiceway.wiring import Services


class Step(NamedTuple):
    """What the state machine does next: READY, POLL or CALLBACK, after so many whole seconds. `progress` is what the
    API says of it; `heartbeat_seconds` after how many without a call it asks by itself and then sleeps on."""

    action: str
    wait_seconds: int = 0
    progress: str | None = None
    heartbeat_seconds: int | None = None

    @property
    def told(self) -> dict[str, Any]:
        """What passes to the next state."""
        beat = {} if self.heartbeat_seconds is None else {"heartbeat_seconds": self.heartbeat_seconds}
        return {"action": self.action, "wait_seconds": self.wait_seconds, **beat}


READY = Step("READY")


@dataclass(frozen=True, slots=True)
class Export:
    """`stamp` is that of the run whose export it is. `state` is starting, running, ready or skipped; `replies` those to
    the start requests, `last` the one that said the export is done; times are seconds since 1970. `callback` is the id
    in `callback_url`, which the API was given; `token_url` was found at the server. `round` counts how often the list
    was asked for anew, for fresh links. `closed` says that the vendor was told of the end; `told` is how the last reply
    to a poll began, redacted."""

    stamp: str
    started_at: float
    state: str = "starting"
    replies: tuple[Heard, ...] = ()
    last: Heard | None = None
    poll_url: str | None = None
    polls: int = 0
    callback: str | None = None
    callback_url: str | None = None
    token_url: str | None = None
    closed: bool = False
    round: int = 0
    told: str | None = None
    hosts: tuple[str, ...] = field(default_factory=tuple)

    def add(self, heard: Heard) -> Export:
        return replace(self, replies=(*self.replies, heard))


def find(services: Services, row: JobRow) -> Export | None:
    """The export of this run of the job, if it has one."""
    try:
        said = get_json(services, key_of(row.job_id, EXPORT))
    except ObjectMissingError:
        return None
    if said.get("stamp") != row.stamp:
        return None
    replies = tuple(Heard(**each) for each in said["replies"])
    last = Heard(**said["last"]) if said["last"] else None
    return Export(**{**said, "replies": replies, "last": last, "hosts": tuple(said["hosts"])})


def begin(services: Services, row: JobRow) -> Export:
    return find(services, row) or Export(row.stamp, time.time())


def ask_anew(export: Export, row: JobRow) -> Export:
    """The export of a job that went back to its source for fresh links is asked for its list once more."""
    if export.state != "ready" or export.last is None or export.round >= row.links_round:
        return export
    return replace(export, state="running", round=row.links_round, started_at=time.time(), polls=0)


def save(services: Services, row: JobRow, export: Export) -> Export:
    put_json(services, key_of(row.job_id, EXPORT), asdict(export))
    return export


def save_list(services: Services, row: JobRow, body: bytes) -> None:
    put_json(services, key_of(row.job_id, EXPORT_LIST), body)


def read_list(services: Services, row: JobRow) -> bytes:
    return get_bytes(services, services.config.jobs_bucket, key_of(row.job_id, EXPORT_LIST))


def plain(model: Any) -> dict[str, Any]:
    """A scheme of `auth` in its plain form."""
    said: dict[str, Any] = model.model_dump(by_alias=True)
    return said
