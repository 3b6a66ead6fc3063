"""What a landing is told: how the object is to be written, and what to work with.

Knows names, types and defaults. Refuses to know what is done with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sluiceway.landing.relaying import TimeLeft
from sluiceway.landing.tally import Tally
from sluiceway.source.client import Client
from sluiceway.source.stall import unlimited
from sluiceway.transfer.plan import GIB, MIB, Limits


@dataclass(frozen=True, slots=True)
class Options:
    """How files are landed. `if_exists` is overwrite, never or skip-unchanged; `part_bytes` None lets the planner
    choose; `part_checksum` is crc64nvme, crc32 or none; `memory_bytes` is what the function has; `cores` None are all
    that this process may run on; `limits` None are S3's; `stage` leaves the object whole, verified and invisible
    (sink/staged.py)."""

    if_exists: str = "overwrite"
    storage_class: str | None = None
    kms_key_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    max_file_bytes: int = 5 * GIB
    uploaders: int = 2
    part_bytes: int | None = None
    part_checksum: str = "crc64nvme"
    memory_bytes: int = 512 * MIB
    cores: int | None = None
    job_id: str | None = None
    limits: Limits | None = None
    stage: bool = False


@dataclass(frozen=True, slots=True)
class Tools:
    """What a landing works with: the HTTP client, a botocore S3 client, extra headers for the source (may hold
    credentials), and where progress (bytes so far) and the remaining time are asked. `links_renewable`: a fresh link
    may come, so one that has expired by its own word is not asked, and the upload is left open for whoever goes on with
    it. `may_hand_over`: a function with more memory goes on with what this one was given, when its parts turn out too
    small. `tally`, where given, has what was measured even if the landing fails; it must be that of the checkpoint, if
    there is one."""

    client: Client
    s3: Any
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    on_progress: Callable[[int], None] | None = None
    time_left: TimeLeft | None = None
    links_renewable: bool = False
    may_hand_over: bool = False
    tally: Tally | None = None

    @property
    def seconds_left(self) -> Callable[[], float]:
        """Asked by whoever waits for the source."""
        return self.time_left.seconds if self.time_left else unlimited
