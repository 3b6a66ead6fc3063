"""What a job's settings mean to the transfer: its options, and the tools it works with.

Knows the job row, the configuration and the secrets; landing.py knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable

from sluiceway.aws.rows import ALL_OR_NOTHING, JobRow
from sluiceway.jobs.files import FileTask
from sluiceway.landing import Options, Tools
from sluiceway.relaying import TimeLeft
from sluiceway.wiring import Services


def options_of(services: Services, job: JobRow, threads: int = 1) -> Options:
    """For one of `threads` files at a time: they share the function's memory, and need no uploaders of their own."""
    config, destination = services.config, job.destination
    return Options(
        if_exists=destination["if_exists"],
        storage_class=destination["storage_class"],
        kms_key_id=destination["kms_key_id"],
        tags=destination["tags"],
        metadata=destination["metadata"],
        max_file_bytes=job.limits["max_file_bytes"],
        uploaders=config.uploaders if threads == 1 else 1,
        part_bytes=config.part_bytes,
        part_checksum=config.part_checksum,
        memory_bytes=config.memory_bytes // threads,
        job_id=job.job_id,
        stage=job.commit == ALL_OR_NOTHING,
    )


def tools_for(
    services: Services,
    task: FileTask,
    on_progress: Callable[[int], None] | None = None,
    time_left: TimeLeft | None = None,
) -> Tools:
    """Raises SecretError where the file's headers cannot be had."""
    headers = services.secrets.headers(task.headers_secret) if task.headers_secret else {}
    return Tools(services.source, services.s3, headers, on_progress, time_left)
