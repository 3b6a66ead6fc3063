"""One file of a job: what is asked (FileTask) and what came of it (FileResult).

Knows the line a task is in manifest.jsonl. Refuses to know how bytes move or where results are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sluiceway.errors import SluicewayError
from sluiceway.jobs.states import OVERRULABLE, FileState

SHARDS = 16
# S3 User Guide, "Working with object metadata": 2 KB in all, names and values, sent as US-ASCII headers.
MAX_METADATA_BYTES = 2048
# Names an attempt to land a file, so that its object is told from another's.
ATTEMPT_METADATA = "sluiceway-attempt"
# Room kept beside a job's own metadata: for the attempt's name, 32 characters, and the SHA-256, 64.
KEPT_METADATA_BYTES = len(ATTEMPT_METADATA) + 32 + len("sha256") + 64
# The fields of a result that tell what the file took, whatever its end.
MEASURES = (
    "seconds", "source_wait_seconds", "sink_wait_seconds", "hash_seconds", "pool_waits", "part_retries",
    "source_resumes", "peak_memory_bytes", "relays",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FileTask:
    """A file to land. `digests` maps an algorithm to its lower-case hex value; `n` is its line in the manifest,
    counted from 0; `size` is in bytes, None where nobody stated it; `split` "crc" asks for several functions. `access`
    is the key, in the jobs bucket, of the object that says how the file is asked for."""

    url: str
    bucket: str
    key: str
    size: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    headers_secret: str | None = None
    split: str | None = None
    n: int = 0
    access: str | None = None

    @property
    def file_id(self) -> str:
        """Names the target, not the source: the same in every run of the job, whatever its link is today."""
        return hashlib.sha256(f"{self.bucket}/{self.key}".encode()).hexdigest()[:32]

    @property
    def shard(self) -> int:
        """0 .. SHARDS-1, from the id: spreads a job's rows over partitions of the table."""
        return int(self.file_id[0], 16) % SHARDS

    def to_line(self) -> bytes:
        """One line of manifest.jsonl, newline included. Absent facts are left out."""
        line: dict[str, Any] = {"n": self.n, "url": self.url, "bucket": self.bucket, "key": self.key}
        if self.size is not None:
            line["size"] = self.size
        if self.digests:
            line["digests"] = dict(self.digests)
        if self.headers_secret is not None:
            line["headers_secret"] = self.headers_secret
        if self.split is not None:
            line["split"] = self.split
        if self.access is not None:
            line["access"] = self.access
        return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> FileTask:
        return cls(**json.loads(line))


@dataclass(frozen=True, slots=True)
class FileResult:
    """What came of a file. Seconds are wall-clock: `seconds` in all, the others where the transfer waited for the
    source (for its replies and before asking it again too), waited for the sink (for a free part buffer, and for S3's
    replies before, between and after the parts), or hashed. They and the counts are of every attempt in every
    invocation, whatever the end; those of a split file are the sums over the functions that moved it at once. `digests`
    are of the bytes stored, `source_validator` is the ETag or Last-Modified that the source gave them; `pool_waits`
    counts requests that waited for a free connection, `relays` the invocations before the last, of each segment where
    there are `segments`; `peak_memory_bytes` is the highest of all of them, each time of the whole process, with what
    other files of its invocation took. `staged` is what completes a STAGED file, `checkpoint` where one that must
    RETRY_LINK or SEND_AGAIN goes on, `links_round` how often the job's links had been renewed when that file's was
    found dead. `overruled` is the state that another invocation, at work on the file at the same moment, had given it,
    and that this end took the place of."""

    state: FileState
    bytes: int = 0
    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    etag: str | None = None
    parts: int = 0
    verified_by: tuple[str, ...] = ()
    reason: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    seconds: float = 0.0
    source_wait_seconds: float = 0.0
    sink_wait_seconds: float = 0.0
    hash_seconds: float = 0.0
    pool_waits: int = 0
    part_retries: int = 0
    source_resumes: int = 0
    peak_memory_bytes: int = 0
    relays: int = 0
    segments: int = 0
    staged: Mapping[str, Any] | None = None
    checkpoint: Mapping[str, Any] | None = None
    links_round: int = 0
    source_validator: str | None = None
    overruled: str | None = None

    def overrules(self, other: FileResult) -> bool:
        """Whether this end may take the place of `other`, to which another invocation of the same unit came first: the
        object of this one stands, or is staged, whatever the other met. One that was SKIPPED for an object that stood
        there before, as its ETag tells, stays."""
        if self.state not in (FileState.STORED, FileState.STAGED) or other.state not in OVERRULABLE:
            return False
        return other.state is not FileState.SKIPPED or other.etag in (None, self.etag)

    def in_place_of(self, other: FileResult) -> FileResult:
        """This end once it has overruled `other`; the reason tells."""
        was = f"{other.state} ({other.error_type})" if other.error_type else other.state.value
        reason = f"took the place of {was}, to which another invocation at the same moment had come"
        return replace(self, overruled=other.state.value, reason="; ".join(filter(None, (self.reason, reason))))

    @classmethod
    def of_error(cls, error: SluicewayError, *, bytes: int = 0, seconds: float = 0.0) -> FileResult:
        """The result of a file that `error` ended: its verdict decides between FAILED and REJECTED."""
        message = "; ".join([str(error), *getattr(error, "__notes__", ())])
        return cls(FileState(error.verdict), bytes, seconds=seconds, error_type=error.type, error_message=message)

    def ended_by(self, error: SluicewayError) -> FileResult:
        """As `of_error`, of a file that had come as far as this: what was measured until then stays."""
        end = FileResult.of_error(error, bytes=self.bytes)
        return replace(end, **{name: getattr(self, name) for name in MEASURES})
