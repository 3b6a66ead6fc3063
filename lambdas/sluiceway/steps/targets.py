"""Where the files of a list land, each only once; and which files of an older list the new one no longer has.

Knows both without holding the list: records of a file's id and its place, sorted outside of memory, stand side by
side where they name the same target.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import groupby, takewhile
from operator import itemgetter

from sluiceway.jobs.files import FileTask
from sluiceway.pieces import Saved, SortedRecords
from sluiceway.wiring import Services

ID_BYTES = 16
FRESH, OLD = b"\x00", b"\x01"
PLACE_BYTES = 8
WIDTH = ID_BYTES + 1 + PLACE_BYTES


class Targets:
    """Feed it every file of the list by its number, and of an older list by the offset of its line; then `judge`."""

    def __init__(self, services: Services, folder: str, saved: Saved = ()) -> None:
        self._services, self._folder = services, folder
        self._records = SortedRecords(services, folder, "targets", WIDTH, saved)

    def add(self, task: FileTask) -> None:
        self._add(task, FRESH, task.n)

    def add_old(self, task: FileTask, offset: int) -> None:
        self._add(task, OLD, offset)

    def save(self) -> list[tuple[str, int]]:
        return self._records.save()

    def judge(self, most: int) -> tuple[list[tuple[int, int]], Iterator[int]]:
        """The numbers of each two files that land at the same place, the first `most` such pairs of the list; and the
        offsets of the old files that are missing, in order."""
        missing = SortedRecords(self._services, self._folder, "missing", PLACE_BYTES)
        twice = heapq.nsmallest(most, self._twice(missing), key=itemgetter(1))
        return twice, map(_place, missing.merged())

    def _twice(self, missing: SortedRecords) -> Iterator[tuple[int, int]]:
        """Every file of the list whose place was taken, behind the first file there. Where only old files land, the
        first goes to `missing`."""
        for _, group in groupby(self._records.merged(), key=lambda record: record[:ID_BYTES]):
            first = next(group)
            if not _is_fresh(first):
                missing.add(first[-PLACE_BYTES:])
                continue
            # In their order: fresh ones before old ones.
            yield from ((_place(first), _place(record)) for record in takewhile(_is_fresh, group))

    def _add(self, task: FileTask, kind: bytes, place: int) -> None:
        self._records.add(bytes.fromhex(task.file_id) + kind + place.to_bytes(PLACE_BYTES, "big"))


def _is_fresh(record: bytes) -> bool:
    return record[ID_BYTES:-PLACE_BYTES] == FRESH


def _place(record: bytes) -> int:
    return int.from_bytes(record[-PLACE_BYTES:], "big")
