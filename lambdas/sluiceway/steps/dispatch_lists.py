"""manifest.jsonl and units.json in the making, the work that takes longest first.

Knows that a unit is a byte range of the manifest, so files that share one must stand together: large files and those
of unknown size come first, small ones follow. Holds none of the lists, only what is not yet saved of each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from sluiceway.aws.rows import JobRow
from sluiceway.job_files import MANIFEST, UNITS, key_of
from sluiceway.jobs.files import FileTask
from sluiceway.jobs.units import Unit, UnitPacker, is_batched
from sluiceway.pieces import Pieces, SortedRecords
from sluiceway.sink.storage import ObjectWriter
from sluiceway.transfer.plan import fits
from sluiceway.wiring import Services

NUMBER_BYTES = 8
# Of a large file: the complement of its size (so the largest sort first; unknown ones before all), where its line
# begins, the line's length. Of a batch: where it begins among the small files, its length, its files.
RECORD_BYTES = 3 * NUMBER_BYTES
LARGEST = 2**64 - 1


@dataclass(slots=True)
class Totals:
    """`bytes` sums the sizes; None once a file has come that states none. `units` is known only at the end."""

    files: int = 0
    bytes: int | None = 0
    units: int = 0

    def add(self, size: int | None) -> None:
        """Another file. The sum of some of the sizes would be taken for that of all."""
        self.files += 1
        self.bytes = None if self.bytes is None or size is None else self.bytes + size


class Lists:
    """`add` every task, then `write` both objects. `save` says in JSON what another instance goes on from, which names
    pieces in `folder` and in those of the invocations before. Raises SinkError."""

    def __init__(self, services: Services, row: JobRow, folder: str, saved: Mapping[str, Any]) -> None:
        self._services, self._job_id = services, row.job_id
        config = services.config
        self._large = Pieces(services, folder, "large", saved.get("large", ()))
        self._small = Pieces(services, folder, "small", saved.get("small", ()))
        self._singles = SortedRecords(services, folder, "singles", RECORD_BYTES, saved.get("singles", ()))
        self._batches = Pieces(services, folder, "batches", saved.get("batches", ()))
        manifest_key = key_of(row.job_id, MANIFEST)
        self._packer = UnitPacker(manifest_key, config.batch_files, config.batch_bytes, **saved.get("packer", {}))
        self.totals = Totals(**saved.get("totals", {}))

    def add(self, task: FileTask, *, is_wanted: bool = True) -> None:
        """`is_wanted` False lists a file that needs no work."""
        line = task.to_line()
        self.totals.add(task.size)
        if not is_wanted:
            self._large.write(line)
        elif task.size is not None and is_batched(task.size, self._services.config.batch_bytes):
            self._keep(self._packer.feed(len(line), task.size))
            self._small.write(line)
        else:
            rank = 0 if task.size is None else LARGEST - task.size
            self._singles.add(_record(rank, self._large.size, len(line)))
            self._large.write(line)

    def save(self) -> dict[str, Any]:
        return {
            "large": self._large.save(),
            "small": self._small.save(),
            "singles": self._singles.save(),
            "batches": self._batches.save(),
            "packer": self._packer.begun,
            "totals": asdict(self.totals),
        }

    def find(self, numbers: Collection[int]) -> dict[int, FileTask]:
        """The tasks of these numbers."""
        found: dict[int, FileTask] = {}
        for pieces in (self._large, self._small):
            for line in pieces.stream():
                task = FileTask.from_line(line)
                if task.n in numbers:
                    found[task.n] = task
        return found

    def write(self) -> Totals:
        """Both objects appear, or after an error neither is changed."""
        self._keep(self._packer.finish())
        with ExitStack() as stack:
            manifest = stack.enter_context(self._writer(MANIFEST, "application/x-ndjson"))
            units = stack.enter_context(self._writer(UNITS, "application/json"))
            for pieces in (self._large, self._small):
                for block in pieces.read():
                    manifest.write(block)
            for record in self._singles.merged():
                rank, offset, length = _numbers(record)
                self._write(units, offset, length, 1, large=rank > 0 and not self._fits(LARGEST - rank))
            for record in self._batches.records(RECORD_BYTES):
                offset, length, count = _numbers(record)
                self._write(units, self._large.size + offset, length, count)
            units.write(b"]" if self.totals.units else b"[]")
        return self.totals

    def _keep(self, unit: Unit | None) -> None:
        if unit is not None:
            self._batches.write(_record(unit.offset, unit.length, unit.count))

    def _fits(self, size: int) -> bool:
        config = self._services.config
        return fits(
            size, memory_bytes=config.file_memory_bytes, uploaders=config.uploaders, part_bytes=config.part_bytes
        )

    def _write(self, units: ObjectWriter, offset: int, length: int, count: int, *, large: bool = False) -> None:
        unit = Unit(key_of(self._job_id, MANIFEST), offset, length, count, large)
        units.write((b",\n" if self.totals.units else b"[") + unit.to_json())
        self.totals.units += 1

    def _writer(self, name: str, content_type: str) -> ObjectWriter:
        key = key_of(self._job_id, name)
        return ObjectWriter(self._services.s3, self._services.config.jobs_bucket, key, content_type=content_type)


def _record(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(NUMBER_BYTES, "big") for number in numbers)


def _numbers(record: bytes) -> list[int]:
    return [int.from_bytes(record[at : at + NUMBER_BYTES], "big") for at in range(0, len(record), NUMBER_BYTES)]
