"""manifest.jsonl read a block at a time, from any line on.

Knows the offsets between which a step may end one invocation and begin the next. Refuses to know what is done with
the files.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice

from sluiceway.aws.rows import JobRow
from sluiceway.job_files import MANIFEST, READ_BYTES, key_of
from sluiceway.jobs.files import FileTask
from sluiceway.jobs.units import read_tasks
from sluiceway.sink.storage import download_stream
from sluiceway.wiring import Services

BLOCK_FILES = 1000


def manifest_blocks(
    services: Services, job: JobRow, offset: int, size: int
) -> Iterator[tuple[list[FileTask], list[int]]]:
    """Up to `size` tasks at a time from byte `offset` on, with the offset of each and, one more, of what follows. None
    if the run broke before its manifest was whole, for what lies there is an older one."""
    if not job.files_total:
        return
    key = key_of(job.job_id, MANIFEST)
    with download_stream(services.s3, services.config.jobs_bucket, key, start=offset) as stream:
        lines = io.BufferedReader(stream, READ_BYTES)
        while block := list(islice(lines, size)):
            offsets = [offset]
            for line in block:
                offsets.append(offsets[-1] + len(line))
            yield list(read_tasks(block)), offsets
            offset = offsets[-1]
