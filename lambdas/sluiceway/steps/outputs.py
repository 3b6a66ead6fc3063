"""report.jsonl, failed.jsonl and SHA256SUMS in the making, with the counts of what they list.

Knows that they are written side by side over several invocations, and put together only when every file is in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from sluiceway.aws.file_table import Ended
from sluiceway.aws.rows import JobRow
from sluiceway.job_files import FAILED, REPORT, SUMS, key_of
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.report import failed_line, report_line, sum_line
from sluiceway.jobs.states import FileState
from sluiceway.landing.relaying import TimeLeft
from sluiceway.pieces import Pieces
from sluiceway.sink.storage import ObjectWriter
from sluiceway.wiring import Services

LANDED = frozenset({FileState.STORED, FileState.SKIPPED})
CONTENT_TYPES = {REPORT: "application/x-ndjson", FAILED: "application/x-ndjson", SUMS: "text/plain; charset=utf-8"}


class Outputs:
    """`add` every file with its end, then `write`. `save` says in JSON what another instance goes on from, which names
    pieces in `folder` and in those of the invocations before. Raises SinkError."""

    def __init__(self, services: Services, job: JobRow, folder: str, saved: Mapping[str, Any]) -> None:
        self._services, self._job = services, job
        pieces = saved.get("pieces", {})
        self._pieces = {name: Pieces(services, folder, name, pieces.get(name, ())) for name in CONTENT_TYPES}
        self._written: list[str] = list(saved.get("written", []))
        self.counts = Counts(**saved.get("counts", {}))

    def add(self, ended: Iterable[Ended]) -> None:
        ended = list(ended)
        self.counts += Counts.of(result for _, result in ended)
        for task, result in ended:
            self._pieces[REPORT].write(report_line(task, result))
            if result.state not in LANDED:
                self._pieces[FAILED].write(failed_line(task))
            self._pieces[SUMS].write(sum_line(task, result) or b"")

    def save(self) -> dict[str, Any]:
        pieces = {name: each.save() for name, each in self._pieces.items()}
        return {"pieces": pieces, "written": self._written, "counts": asdict(self.counts)}

    def write(self, time_left: TimeLeft) -> bool:
        """Puts each object together from its pieces, those before this instance included. False: time ran out before
        the last one."""
        for name in CONTENT_TYPES:
            if name in self._written:
                continue
            if time_left.is_half_gone():
                return False
            self._write(name)
            self._written.append(name)
        return True

    def _write(self, name: str) -> None:
        services, key = self._services, key_of(self._job.job_id, name)
        with ObjectWriter(services.s3, services.config.jobs_bucket, key, content_type=CONTENT_TYPES[name]) as output:
            for block in self._pieces[name].read():
                output.write(block)
