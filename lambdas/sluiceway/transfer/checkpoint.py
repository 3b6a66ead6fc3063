"""Where a transfer stands when an invocation ends before the file does.

Knows the JSON form, which travels in the workflow's state from one invocation to the next: no URL is in it, and it
stays under 4 KB. Which parts S3 already has is asked of S3, not carried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

VERSION = 2


@dataclass(frozen=True, slots=True)
class Position:
    """The pipeline's own place: parts below `next_part` are sent and hold the first `offset` bytes, whose digest
    states and part checksum (`checksum`, an integer) these are."""

    next_part: int = 1
    offset: int = 0
    states: Mapping[str, Mapping[str, str | int]] = field(default_factory=dict[str, Mapping[str, str | int]])
    checksum: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {
            "next_part": self.next_part,
            "offset": self.offset,
            "digests": {name: dict(state) for name, state in self.states.items()},
            "checksum": f"{self.checksum:x}",
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Position:
        return cls(data["next_part"], data["offset"], data["digests"], int(data["checksum"], 16))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A paused transfer. `stated` are the digests that the source states, `validator` is what If-Range must carry,
    `length` the one that the source told, `upload_id` and `attempt` name the multipart upload, `relays` counts the
    invocations so far, `idle` those in a row that moved nothing, `tried_seconds` is how many the last one had had for
    it when they were too few, else 0, `restarts` how often the file was begun anew, and
    `sent_again` whether S3 asked for that; `seconds` and `counts` are sums of the measurements so far."""

    position: Position
    upload_id: str | None = None
    attempt: str | None = None
    validator: str | None = None
    length: int | None = None
    relays: int = 1
    idle: int = 0
    tried_seconds: float = 0.0
    restarts: int = 0
    sent_again: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    stated: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_begun(self) -> bool:
        """Whether anything of the file is in S3 to go on from."""
        return self.upload_id is not None

    def emptied(self) -> Checkpoint:
        """Of the same file once what was moved of it is given up."""
        return replace(self, position=Position(), upload_id=None, attempt=None, validator=None, length=None, stated={})

    def to_dict(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "upload_id": self.upload_id,
            "attempt": self.attempt,
            "validator": self.validator,
            "length": self.length,
            **self.position.to_dict(),
            "relays": self.relays,
            "idle": self.idle,
            "tried_seconds": round(self.tried_seconds, 3),
            "restarts": self.restarts,
            "sent_again": self.sent_again,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "counts": dict(self.counts),
            "stated": dict(self.stated),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Checkpoint:
        """Raises ValueError for a checkpoint of another version: a deployment in between may change the schema, and a
        file half-read by other rules is begun anew."""
        if data.get("version") != VERSION:
            raise ValueError(f"checkpoint: expected version {VERSION}, found {data.get('version')!r}")
        return cls(
            Position.from_dict(data),
            data["upload_id"],
            data["attempt"],
            data["validator"],
            data["length"],
            data["relays"],
            data["idle"],
            data["tried_seconds"],
            data["restarts"],
            data["sent_again"],
            data["seconds"],
            data["counts"],
            data["stated"],
        )
