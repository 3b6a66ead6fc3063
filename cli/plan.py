"""`sluiceway plan`: a job checked, which way its files would go, and what that would cost. Nothing is moved or asked.

Knows the ways by what is stated of each file, as DispatchFiles does. Refuses to know prices: the cost function does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from rich.filesize import decimal

from cli.exits import Exit
from cli.load import Loaded, load
from cli.refusal import refuse
from infra.settings import Settings, split_assignments
from sluiceway.cost import PRICES_DATE, Cost, Machine, Prices, files_cost, job_cost
from sluiceway.errors import JobError
from sluiceway.jobs.files import FileTask
from sluiceway.jobs.units import UnitPacker, is_batched
from sluiceway.spec import Job
from sluiceway.transfer.plan import MIB, fits
from sluiceway.transfer.segments import COMBINABLE


@dataclass(slots=True)
class Ways:
    """Files by the way they go. `bytes` sums the sizes that are stated, `unknown` counts the files without one;
    `batched` share `batches` invocations, `single` have a function each, `split` may go in segments if their source
    honours ranges, `large` need the function with more memory, `refused` are larger than `max_file_bytes`."""

    files: int = 0
    bytes: int = 0
    unknown: int = 0
    batched: int = 0
    batches: int = 0
    single: int = 0
    split: int = 0
    large: int = 0
    refused: int = 0


@dataclass(slots=True)
class Survey:
    """`ways` and `cost` are whole once every task was taken in."""

    job: Job
    settings: Settings
    ways: Ways
    cost: Cost

    @classmethod
    def of(cls, job: Job, settings: Settings, tasks: Iterable[FileTask]) -> Survey:
        survey = cls(job, settings, Ways(), Cost())
        cost = job_cost(survey._sizes(tasks), survey._machine(settings.process_file_memory_mb))
        survey.cost += cost  # to that of the large files
        return survey

    def _sizes(self, tasks: Iterable[FileTask]) -> Iterator[tuple[int, int]]:
        """What the cost function asks for. Large files are in `cost` already, those of unknown size nowhere."""
        ways, settings = self.ways, self.settings
        packer, small_bytes = UnitPacker("", settings.batch_files, settings.batch_bytes), 0
        most = self.job.limits.max_file_bytes or settings.max_file_bytes
        for task in tasks:
            size = task.size
            ways.files += 1
            ways.bytes += size or 0
            if size is None:
                ways.unknown += 1
            elif size > most:
                ways.refused += 1
            elif is_batched(size, settings.batch_bytes):
                ways.batched, small_bytes = ways.batched + 1, small_bytes + size
                ways.batches += packer.feed(1, size) is not None
            else:
                splits, fits = self._may_split(task, size), self._fits(size)
                ways.split += splits
                ways.single += fits and not splits
                ways.large += not fits and not splits
                if fits:
                    yield 1, size
                else:
                    self.cost += files_cost(1, size, self._machine(settings.process_file_large_memory_mb), Prices())
        ways.batches += packer.finish() is not None
        if ways.batched:
            yield ways.batched, small_bytes // ways.batched

    def _may_split(self, task: FileTask, size: int) -> bool:
        if not (task.split or self.job.split) or size <= self.settings.split_bytes:
            return False
        if self.job.commit == "all-or-nothing" or self.settings.part_checksum == "none":
            return False
        return task.digests.keys() <= COMBINABLE.keys()

    def _fits(self, size: int) -> bool:
        machine = self._machine(self.settings.process_file_memory_mb)
        room = machine.memory_mb * MIB
        return fits(size, memory_bytes=room, uploaders=machine.uploaders, part_bytes=machine.part_bytes)

    def _machine(self, memory_mb: int) -> Machine:
        settings = self.settings
        return Machine(
            memory_mb=memory_mb,
            uploaders=settings.uploaders,
            part_bytes=settings.part_mib * MIB if isinstance(settings.part_mib, int) else None,
            threads=settings.batch_threads,
            timeout_seconds=settings.process_file_timeout_seconds,
            batch_files=settings.batch_files,
            batch_bytes=settings.batch_bytes,
            progress_seconds=settings.progress_seconds,
        )


def plan(job: str, assignments: list[str], *, as_json: bool) -> Exit:
    """Checks and tells."""
    try:
        loaded = load(job)
        settings = Settings.parse(split_assignments(assignments))
    except (JobError, ValueError) as error:
        return refuse(job, error, as_json=as_json)
    survey = Survey.of(loaded.job, settings, loaded.tasks()) if loaded.is_listed_here else None
    if as_json:
        print(json.dumps(_as_object(loaded, survey)))
    else:
        print(*_lines(loaded, survey), sep="\n")
    return Exit.OK


def _as_object(loaded: Loaded, survey: Survey | None) -> dict[str, object]:
    """`files` is None where the list is not read before the job runs."""
    told: dict[str, object] = {"job_id": loaded.job_id, "status": "VALID", "files": None}
    if survey is None:
        return told
    cost = survey.cost
    estimate = {"usd": round(cost.total, 6), "invocations": cost.invocations, "transitions": cost.transitions}
    return told | asdict(survey.ways) | {"estimate": estimate}


def _lines(loaded: Loaded, survey: Survey | None) -> Iterator[str]:
    if survey is None:
        where = "an s3:// list" if loaded.job.source.type == "manifest" else "its export API"
        yield f"{loaded.job_id} is valid. Its files are known once {where} has been read, which a plan does not do."
        return
    ways, cost, most = survey.ways, survey.cost, loaded.job.limits.max_file_bytes or survey.settings.max_file_bytes
    files = _counted(ways.files, "file", "files")
    yield f"{loaded.job_id} is valid: {files}, {decimal(ways.bytes)} by the sizes that are stated."
    for count, way in (
        (ways.batched, f"in {_counted(ways.batches, 'batch', 'batches')}"),
        (ways.single, "with a function each"),
        (ways.split, "in segments, by several functions, where the source honours ranges"),
        (ways.large, "by the function with more memory"),
        (ways.unknown, "of unknown size, with a function each; not in the cost"),
        (ways.refused, f"refused: larger than max_file_bytes ({most})"),
    ):
        if count:
            yield f"  {count:>9,} {way}"
    yield (
        f"On AWS about USD {_usd(cost.total)}: {cost.invocations:,} invocations and {cost.transitions:,} state "
        f"transitions, at list prices of us-east-1, {PRICES_DATE} (docs/cost.md)."
    )


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _usd(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.2g}"
