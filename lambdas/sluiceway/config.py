"""What a function is told by its environment, validated once.

Knows the names of the variables (infra/functions.py writes them from infra/settings.py) and their types. Refuses
to know who sets them: tests pass a plain mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GIB = 1024**3
# AWS Lambda Developer Guide, "Configure Lambda function memory": at 1,769 MB a function has one vCPU. It is shown two
# with less, and gets its share of their time.
MB_A_VCPU = 1769


@dataclass(frozen=True, slots=True)
class Config:
    """Bytes, seconds and counts as their names say. `part_bytes` None lets the planner choose. `allowed_sources`
    are HOST or HOST:PORT, permitted although private or plain http; `only_hosts`, unless empty, are the only others.
    `memory_bytes` is this function's, `file_memory_bytes` that of ProcessFile and
    MoveSegment, `large_memory_bytes` that of ProcessFileLarge and MoveSegmentLarge."""

    jobs_bucket: str
    jobs_table: str
    event_bus: str
    landing_bucket: str
    memory_bytes: int
    uploaders: int = 2
    part_bytes: int | None = None
    part_checksum: str = "crc64nvme"
    max_file_bytes: int = 5 * GIB
    max_concurrency: int = 100
    allowed_sources: tuple[str, ...] = ()
    only_hosts: tuple[str, ...] = ()
    destination_buckets: tuple[str, ...] = ()
    file_events: tuple[str, ...] = ("REJECTED", "FAILED")
    secret_prefix: str = "sluiceway/"
    progress_seconds: float = 10.0
    batch_files: int = 200
    batch_bytes: int = 64 * 1024**2
    batch_threads: int = 8
    split_bytes: int = 2 * GIB
    file_memory_bytes: int = 512 * 1024**2
    large_memory_bytes: int = 5 * GIB
    callback_url: str = ""
    token_function: str = ""

    @property
    def cores(self) -> int:
        """Whole cores this function has, which its memory decides; 0 for a part of one."""
        return self.memory_bytes // (MB_A_VCPU * 1024**2)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Config:
        """Raises KeyError naming a variable that is missing, ValueError for one that is not a number."""
        part_mib = env.get("SLUICEWAY_PART_MIB", "auto")
        return cls(
            jobs_bucket=env["SLUICEWAY_JOBS_BUCKET"],
            jobs_table=env["SLUICEWAY_JOBS_TABLE"],
            event_bus=env["SLUICEWAY_EVENT_BUS"],
            landing_bucket=env["SLUICEWAY_LANDING_BUCKET"],
            memory_bytes=int(env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) * 1024**2,
            uploaders=int(env.get("SLUICEWAY_UPLOADERS", "2")),
            part_bytes=None if part_mib == "auto" else int(part_mib) * 1024**2,
            part_checksum=env.get("SLUICEWAY_PART_CHECKSUM", "crc64nvme"),
            max_file_bytes=int(env.get("SLUICEWAY_MAX_FILE_BYTES", str(5 * GIB))),
            max_concurrency=int(env.get("SLUICEWAY_MAX_CONCURRENCY", "100")),
            allowed_sources=_list(env.get("SLUICEWAY_ALLOWED_SOURCES", "")),
            only_hosts=_list(env.get("SLUICEWAY_ONLY_HOSTS", "")),
            destination_buckets=_list(env.get("SLUICEWAY_DESTINATION_BUCKETS", "")),
            file_events=_list(env.get("SLUICEWAY_FILE_EVENTS", "REJECTED,FAILED")),
            secret_prefix=env.get("SLUICEWAY_SECRET_PREFIX", "sluiceway/"),
            progress_seconds=float(env.get("SLUICEWAY_PROGRESS_SECONDS", "10")),
            batch_files=int(env.get("SLUICEWAY_BATCH_FILES", "200")),
            batch_bytes=int(env.get("SLUICEWAY_BATCH_BYTES", str(64 * 1024**2))),
            batch_threads=int(env.get("SLUICEWAY_BATCH_THREADS", "8")),
            split_bytes=int(env.get("SLUICEWAY_SPLIT_BYTES", str(2 * GIB))),
            callback_url=env.get("SLUICEWAY_CALLBACK_URL", ""),
            token_function=env.get("SLUICEWAY_TOKEN_FUNCTION", ""),
            file_memory_bytes=int(env.get("SLUICEWAY_FILE_MEMORY_MB", "512")) * 1024**2,
            large_memory_bytes=int(env.get("SLUICEWAY_LARGE_MEMORY_MB", "5120")) * 1024**2,
        )


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())
