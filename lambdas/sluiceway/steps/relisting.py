"""The list of a job that went back to its source for fresh links: the same files, of which only some need work.

Knows that a source may leave out a file the second time: it stays on the list, or nobody would miss it.
"""

from __future__ import annotations

from collections.abc import Iterator

from sluiceway.aws.rows import JobRow
from sluiceway.steps.dispatch_lists import Lists
from sluiceway.steps.manifest import BLOCK_FILES, manifest_blocks
from sluiceway.wiring import Services


def add_missing(services: Services, row: JobRow, missing: Iterator[int], lists: Lists) -> None:
    """Adds the files of the old list at the offsets `missing`, which ascend."""
    wanted = next(missing, None)
    if wanted is None:
        return
    for tasks, offsets in manifest_blocks(services, row, wanted, BLOCK_FILES):
        for task, offset in zip(tasks, offsets, strict=False):
            if offset == wanted:
                lists.add(task, is_wanted=False)
                wanted = next(missing, None)
        if wanted is None:
            return
