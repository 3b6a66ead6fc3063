"""Writes manifest.jsonl and units.json side by side, the work that takes longest first.

Knows that a unit is a byte range of the manifest, so files that share one must stand together: large files and those
of unknown size are written as they come, small ones are kept in a temporary file and follow at the end.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from sluiceway.config import Config
from sluiceway.jobs.files import FileTask
from sluiceway.jobs.units import Unit, UnitPacker, is_batched
from sluiceway.sink.storage import ObjectWriter

# What is kept of small files' lines before the disk is used.
SPOOL_BYTES = 8 * 1024**2
COPY_BYTES = 1024**2


@dataclass(slots=True)
class Totals:
    files: int = 0
    bytes: int = 0
    units: int = 0


class Lists:
    """A context manager: `add` every task, and on a clean exit both objects are there; on an error neither is.
    `totals` counts what was added; its bytes are those of the sizes stated."""

    def __init__(self, s3: Any, config: Config, manifest_key: str, units_key: str) -> None:
        self._config, self._manifest_key = config, manifest_key
        self._manifest = ObjectWriter(s3, config.jobs_bucket, manifest_key, content_type="application/x-ndjson")
        self._units = ObjectWriter(s3, config.jobs_bucket, units_key, content_type="application/json")
        self._small = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 -- entered with the others below
        self._packer = UnitPacker(manifest_key, config.batch_files, config.batch_bytes)
        self._batches: list[Unit] = []
        # Of each large file: its size (unknown ones first), where its line begins, the line's length.
        self._singles: list[tuple[float, int, int]] = []
        self._open = ExitStack()
        self.totals = Totals()

    def add(self, task: FileTask, *, is_wanted: bool = True) -> None:
        """`is_wanted` False lists a file that needs no work."""
        line = task.to_line()
        self.totals.files += 1
        self.totals.bytes += task.size or 0
        if not is_wanted:
            self._manifest.write(line)
        elif task.size is not None and is_batched(task.size, self._config.batch_bytes):
            self._keep(self._packer.feed(len(line), task.size))
            self._small.write(line)
        else:
            self._singles.append((task.size or float("inf"), self._manifest.size, len(line)))
            self._manifest.write(line)

    def __enter__(self) -> Lists:
        for each in (self._small, self._manifest, self._units):
            self._open.enter_context(each)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with self._open:
            if error is not None:
                # Into the stack it must go, so that both writers abort.
                raise error
            self._finish()

    def _keep(self, unit: Unit | None) -> None:
        if unit is not None:
            self._batches.append(unit)

    def _finish(self) -> None:
        self._keep(self._packer.finish())
        begin = self._manifest.size
        self._small.seek(0)
        while piece := self._small.read(COPY_BYTES):
            self._manifest.write(piece)
        for _, offset, length in sorted(self._singles, key=lambda single: -single[0]):
            self._write(Unit(self._manifest_key, offset, length, 1))
        for unit in self._batches:
            self._write(replace(unit, offset=unit.offset + begin))
        self._units.write(b"]" if self.totals.units else b"[]")

    def _write(self, unit: Unit) -> None:
        self._units.write((b",\n" if self.totals.units else b"[") + unit.to_json())
        self.totals.units += 1
