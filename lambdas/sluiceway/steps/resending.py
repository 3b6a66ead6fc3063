"""Staged files whose completion S3 answered with 409: every part is void, so they go through TransferFiles once more.

Knows how such a file is marked, so that it is sent again once and no more, and the list of the units they are in. Their
job is decided by then: each of them lands by itself.
"""

from __future__ import annotations

from dataclasses import replace

from sluiceway.aws.rows import JobRow
from sluiceway.errors import SendAgainError
from sluiceway.job_files import MANIFEST, key_of, new_work_folder
from sluiceway.jobs.files import FileResult
from sluiceway.jobs.states import FileState
from sluiceway.jobs.units import Unit
from sluiceway.landing.tally import Measured
from sluiceway.pieces import Pieces, Saved
from sluiceway.sink.storage import ObjectWriter
from sluiceway.transfer.checkpoint import Checkpoint, Position
from sluiceway.wiring import Services


def to_send_again(staged: FileResult, error: SendAgainError) -> FileResult:
    """What a file that was `staged` has come to: nothing but what it took. Whoever moves it goes on from that."""
    took = Measured.of(staged)
    checkpoint = Checkpoint(
        Position(), relays=took.relays + 1, sent_again=True, seconds=took.seconds, counts=took.counts
    )
    marked = replace(staged.ended_by(error), state=FileState.SEND_AGAIN, bytes=0)
    return replace(marked, checkpoint=checkpoint.to_dict())


class UnitsAgain:
    """The units, of one file each, that TransferFiles is given then. `add` them in the order of the manifest; `save`
    says what another instance goes on from, `write` makes the list. Raises SinkError."""

    def __init__(self, services: Services, job: JobRow, saved: Saved) -> None:
        self._services, self._job = services, job
        self._folder = new_work_folder(job.job_id, job.run)
        self._units = Pieces(services, self._folder, "again", saved)

    def add(self, offset: int, length: int) -> None:
        """A file whose line stands in `length` bytes from `offset` of the manifest."""
        unit = Unit(key_of(self._job.job_id, MANIFEST), offset, length, 1)
        self._units.write((b",\n" if self._units.size else b"[") + unit.to_json())

    def save(self) -> Saved:
        return self._units.save()

    def write(self) -> str | None:
        """The key of the list in the jobs bucket, None where it would be empty."""
        if not self._units.size:
            return None
        s3, bucket, key = self._services.s3, self._services.config.jobs_bucket, f"{self._folder}units.json"
        with ObjectWriter(s3, bucket, key, content_type="application/json") as units:
            for block in self._units.read():
                units.write(block)
            units.write(b"]")
        return key
