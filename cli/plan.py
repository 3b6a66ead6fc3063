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
from sluiceway.cost import PRICES_DATE, Machine, Prices, files_cost, job_cost, split_cost
from sluiceway.errors import JobError, PolicyError
from sluiceway.jobs.files import FileTask
from sluiceway.jobs.units import UnitPacker, is_batched
from sluiceway.landing.options import Options
from sluiceway.landing.splitting import plan_split
from sluiceway.source.policy import UrlPolicy
from sluiceway.spec import Job
from sluiceway.transfer.plan import MIB, fits
from sluiceway.transfer.segments import COMBINABLE, SEGMENT_BYTES, Segment, plan_segments


@dataclass(slots=True)
class Ways:
    """Files by the way they go. `bytes` sums the sizes that are stated, `unknown` counts the files without one;
    `batched` share `batches` invocations, `single` have a function each, `split` may go in `segments` if their source
    honours ranges, `large` need the function with more memory. `refused` are larger than `max_file_bytes`, `impossible`
    than what S3 or the memory of any function takes; `forbidden` have URLs that the policy refuses, by what the URL
    itself tells."""

    files: int = 0
    bytes: int = 0
    unknown: int = 0
    batched: int = 0
    batches: int = 0
    single: int = 0
    split: int = 0
    segments: int = 0
    large: int = 0
    refused: int = 0
    impossible: int = 0
    forbidden: int = 0


class Survey:
    """The `ways` and the `cost` of a job's `tasks`. Files of unknown size, and those that will not be moved, are in no
    cost. `most` is how many bytes a file of the job may have."""

    def __init__(self, job: Job, settings: Settings, tasks: Iterable[FileTask]) -> None:
        self.job, self.settings = job, settings
        self.ways, self.cost = Ways(), job_cost([])
        self.most = job.limits.max_file_bytes or settings.max_file_bytes
        self._policy = UrlPolicy(settings.allowed_sources, only_hosts=settings.only_hosts)
        self._small = self._machine(settings.process_file_memory_mb)
        self._large = self._machine(settings.process_file_large_memory_mb)
        packer = UnitPacker("", settings.batch_files, settings.batch_bytes)
        batched_bytes = 0
        for task in tasks:
            self.ways.files += 1
            self.ways.bytes += task.size or 0
            if not self._is_permitted(task.url):
                self.ways.forbidden += 1
            elif task.size is None:
                self.ways.unknown += 1
            elif task.size > self.most:
                self.ways.refused += 1
            elif is_batched(task.size, settings.batch_bytes):
                self.ways.batched, batched_bytes = self.ways.batched + 1, batched_bytes + task.size
                self.ways.batches += packer.feed(1, task.size) is not None
            else:
                self._take(task, task.size)
        self.ways.batches += packer.finish() is not None
        if count := self.ways.batched:
            self.cost += files_cost(count, batched_bytes // count, self._small, Prices(), units=self.ways.batches)

    def _take(self, task: FileTask, size: int) -> None:
        """A file that has a function, or several, to itself."""
        machine = self._small if self._fits(size, self._small) else self._large
        if not self._fits(size, machine):
            self.ways.impossible += 1
        elif self._may_split(task, size):
            segments = self._segments(size, machine)
            self.ways.split += 1
            self.ways.segments += len(segments)
            parts = sum(segment.parts for segment in segments)
            self.cost += split_cost(size, parts=parts, segments=len(segments), machine=machine, prices=Prices())
        else:
            self.ways.single += machine is self._small
            self.ways.large += machine is self._large
            self.cost += files_cost(1, size, machine, Prices())

    def _segments(self, size: int, machine: Machine) -> list[Segment]:
        """Of a file whose parts `machine` can hold."""
        room = machine.memory_mb * MIB
        plan = plan_split(size, Options(memory_bytes=room, uploaders=machine.uploaders, part_bytes=machine.part_bytes))
        assert plan is not None
        return plan_segments(size, plan.part_bytes, segment_bytes=min(SEGMENT_BYTES, self.settings.split_bytes))

    def _is_permitted(self, url: str) -> bool:
        try:
            self._policy.check(url)
        except PolicyError:
            return False
        return True

    def _may_split(self, task: FileTask, size: int) -> bool:
        if not (task.split or self.job.split) or size <= self.settings.split_bytes:
            return False
        if self.job.commit == "all-or-nothing" or self.settings.part_checksum == "none":
            return False
        return task.digests.keys() <= COMBINABLE.keys()

    def _fits(self, size: int, machine: Machine) -> bool:
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
    survey = Survey(loaded.job, settings, loaded.tasks()) if loaded.is_listed_here else None
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
        where = "its list" if loaded.job.source.type == "manifest" else "its export API"
        yield f"{loaded.job_id} is valid. Its files are known once {where} has been read, which a plan does not do."
        return
    ways, cost = survey.ways, survey.cost
    files = _counted(ways.files, "file", "files")
    yield f"{loaded.job_id} is valid: {files}, {decimal(ways.bytes)} by the sizes that are stated."
    for count, way in (
        (ways.batched, f"in {_counted(ways.batches, 'batch', 'batches')}"),
        (ways.single, "with a function each"),
        (ways.split, f"in {_counted(ways.segments, 'segment', 'segments')}, where the source honours ranges"),
        (ways.large, "by the function with more memory"),
        (ways.unknown, "of unknown size, with a function each; not in the cost"),
        (ways.refused, f"refused: larger than max_file_bytes ({survey.most})"),
        (ways.impossible, "impossible: S3, or the memory of the largest function, takes none so large"),
        (
            ways.forbidden,
            "refused by the URL policy: plain http, or a host that allowed_sources or only_hosts leave out",
        ),
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
