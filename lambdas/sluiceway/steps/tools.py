"""What a job's settings mean to the transfer: its options, and the tools it works with.

Knows the job row, the configuration and the secrets; landing.py knows none of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sluiceway.aws.rows import JobRow
from sluiceway.errors import SourceStatusError
from sluiceway.jobs.files import FileTask
from sluiceway.landing.options import Options, Tools
from sluiceway.landing.relaying import TimeLeft
from sluiceway.wiring import Services

T = TypeVar("T")


def options_of(services: Services, job: JobRow, threads: int = 1) -> Options:
    """For one of `threads` files at a time: they share the function's memory and cores, and need no uploaders of their
    own."""
    config, destination = services.config, job.destination
    return Options(
        if_exists=destination["if_exists"],
        storage_class=destination["storage_class"],
        kms_key_id=destination["kms_key_id"],
        tags=destination["tags"],
        metadata=destination["metadata"],
        max_file_bytes=job.limits["max_file_bytes"],
        uploaders=config.uploaders if threads == 1 else 1,
        # A part size of the settings is for a file that has the function's memory to itself.
        part_bytes=config.part_bytes if threads == 1 else None,
        part_checksum=config.part_checksum,
        memory_bytes=config.memory_bytes // threads,
        cores=config.cores // threads,
        job_id=job.job_id,
        stage=job.stages,
    )


def tools_for(
    services: Services,
    job: JobRow,
    task: FileTask,
    on_progress: Callable[[int], None] | None = None,
    time_left: TimeLeft | None = None,
    *,
    links_renewable: bool = False,
) -> Tools:
    """For a file that is `reachable`. Raises SecretError where its headers cannot be had."""
    headers = dict(services.secrets.headers(task.headers_secret)) if task.headers_secret else {}
    if task.access is not None:
        from sluiceway.exports.access import headers_for

        headers = {**headers_for(services, job, task), **headers}
    config = services.config
    return Tools(
        services.source,
        services.s3,
        headers,
        on_progress,
        time_left,
        links_renewable,
        may_hand_over=config.memory_bytes < config.large_memory_bytes,
    )


def reachable(services: Services, job: JobRow, task: FileTask) -> FileTask:
    """The task with the URL its bytes are at, which some export APIs tell for one file at a time. Raises what asking
    for it does."""
    if task.access is None:
        return task
    from sluiceway.exports.access import reachable

    return reachable(services, job, task)


def with_fresh_access(services: Services, job: JobRow, task: FileTask, attempt: Callable[[FileTask], T]) -> T:
    """What `attempt` makes of the task once it is reachable. Refused, a file of an export API is tried once more with a
    new token or a new link. Raises SluicewayError."""
    began = time.time()
    try:
        return attempt(reachable(services, job, task))
    except SourceStatusError as error:
        if not error.link_died or task.access is None:
            raise
        from sluiceway.exports.access import renew

        if not renew(services, job, task, error.status, began):
            raise
    return attempt(reachable(services, job, task))
