"""The list of a job that went back to its source for fresh links: the same files, of which only some need work.

Knows that a source may leave out a file the second time: it stays on the list, or nobody would miss it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import islice

from sluiceway.aws.file_table import BATCH_KEYS
from sluiceway.aws.rows import JobRow
from sluiceway.job_files import MANIFEST, READ_BYTES, key_of
from sluiceway.jobs.files import FileTask
from sluiceway.jobs.units import read_tasks
from sluiceway.sink.storage import download_stream
from sluiceway.wiring import Services


def with_fresh_links(services: Services, row: JobRow, fresh: Iterable[FileTask]) -> Iterator[tuple[FileTask, bool]]:
    """Every file of the fresh list and whether it needs work, then the files of the old list that the fresh one no
    longer has. Keeps 16 bytes a file."""
    seen: set[bytes] = set()
    rest = iter(fresh)
    while block := list(islice(rest, BATCH_KEYS)):
        ended = services.files.results(row.job_id, row.run, block)
        for task in block:
            seen.add(bytes.fromhex(task.file_id))
            yield task, task.file_id not in ended
    with download_stream(services.s3, services.config.jobs_bucket, key_of(row.job_id, MANIFEST)) as stream:
        for task in read_tasks(io.BufferedReader(stream, READ_BYTES)):
            if bytes.fromhex(task.file_id) not in seen:
                yield task, False
