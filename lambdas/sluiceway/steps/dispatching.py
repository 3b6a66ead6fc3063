"""DispatchFiles: turns the list of files into manifest.jsonl (a task a line) and units.json (a unit of work an item).

Knows that the whole list is judged before the first byte of a file moves, and that this may take several invocations:
the list is read, then an older one if there is one, then both are judged, then the two objects are written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate, islice
from typing import Any

from sluiceway.aws.file_table import BATCH_KEYS
from sluiceway.aws.rows import JobRow
from sluiceway.errors import DuplicateTargetError, FieldError, InvalidJobError
from sluiceway.exports import sources
from sluiceway.exports.adopting import adopt
from sluiceway.exports.blocks import Position
from sluiceway.job_files import UNITS, get_json, key_of, new_work_folder
from sluiceway.jobs.files import FileTask
from sluiceway.jobs.states import JobState
from sluiceway.landing.relaying import TimeLeft
from sluiceway.spec import Job, load_job, read_more
from sluiceway.spec.entries import same_target, without_credentials
from sluiceway.spec.mistakes import MAX_MISTAKES
from sluiceway.steps.announcing import announce_job
from sluiceway.steps.dispatch_lists import Lists, Totals
from sluiceway.steps.manifest import BLOCK_FILES, manifest_blocks
from sluiceway.steps.refreshing import is_wanted
from sluiceway.steps.relays import count_idle, load_checkpoint, save_checkpoint
from sluiceway.steps.relisting import add_missing
from sluiceway.steps.targets import Targets
from sluiceway.wiring import Services

# Keys and links may be long: the text has to fit an error of Step Functions, which cuts one at 32,768 characters.
PAIRS_CHARS = 16_000
READ, READ_OLD, JUDGE, WRITE = "read", "read-old", "judge", "write"


@dataclass(slots=True)
class Draft:
    """How far the list is: the phase, `n` entries read, where the source stands, the offset in the old list."""

    phase: str = READ
    n: int = 0
    at: Position = field(default_factory=dict[str, Any])
    offset: int = 0


@dataclass(slots=True)
class Dispatch:
    """One invocation's part of the work. Each phase answers whether it came to its end before time ran out."""

    services: Services
    row: JobRow
    job: Job
    time_left: TimeLeft
    draft: Draft
    lists: Lists
    targets: Targets
    mistakes: list[FieldError]
    has_moved: bool = False

    def is_over(self) -> bool:
        """Goes on from the draft. True: both objects are there."""
        begun = self.draft.phase
        if self.draft.phase == READ:
            if not self._read():
                return False
            self._begin(READ_OLD if self.row.links_round else JUDGE)
        if self.draft.phase == READ_OLD:
            if not self._read_old():
                return False
            self._begin(JUDGE)
        if self.draft.phase == JUDGE:
            if self.time_left.is_half_gone():
                return False
            self._judge()
            self._begin(WRITE)
            # Offsets in the old list are good as long as it is there: whoever carries them does not replace it.
            if self.row.links_round and begun != READ:
                return False
        if self.time_left.is_half_gone():
            return False
        self.lists.write()
        return True

    def _begin(self, phase: str) -> None:
        self.draft.phase, self.draft.at, self.has_moved = phase, {}, True

    def _read(self) -> bool:
        for block in sources.blocks(self.services, self.job, self.row, self.draft.at, self.draft.n):
            if self.time_left.is_short():
                self.draft.at = block.at()
                return False
            counted = _Counted(block.entries)
            self._add(
                read_more(
                    map(without_credentials, counted),
                    self.draft.n,
                    self.mistakes,
                    bucket=self.row.destination["bucket"],
                    prefix=self.row.prefix,
                    fields=self.row.fields,
                )
            )
            self.draft.n += counted.n
            self.has_moved = True
            if len(self.mistakes) >= MAX_MISTAKES:
                break
        if self.mistakes:
            raise InvalidJobError(self.mistakes)
        return True

    def _read_old(self) -> bool:
        for tasks, offsets in manifest_blocks(self.services, self.row, self.draft.offset, BLOCK_FILES):
            if self.time_left.is_short():
                return False
            for task, offset in zip(tasks, offsets, strict=False):
                self.targets.add_old(task, offset)
            self.draft.offset, self.has_moved = offsets[-1], True
        return True

    def _add(self, tasks: Iterable[FileTask]) -> None:
        rest = iter(tasks)
        while some := list(islice(rest, BATCH_KEYS)):
            # Asked for fresh links, only the files that wait for one need work, and those nobody came to.
            known = self.services.files.known(self.row.job_id, self.row.run, some) if self.row.links_round else {}
            for task in (adopt(self.services, self.row, self.job, each) for each in some):
                split = task if task.split or not self.job.split else replace(task, split=self.job.split)
                self.targets.add(split)
                self.lists.add(split, is_wanted=is_wanted(self.row, known.get(task.file_id)))

    def _judge(self) -> None:
        twice, missing = self.targets.judge(MAX_MISTAKES)
        if twice:
            found = self.lists.find({n for pair in twice for n in pair})
            raise DuplicateTargetError(_fitting([_same_target(found[first], found[second]) for first, second in twice]))
        add_missing(self.services, self.row, missing, self.lists)


def _same_target(first: FileTask, second: FileTask) -> str:
    files = [(task.url, f"file {task.n + 1}") for task in (first, second)]
    return same_target(first.bucket, first.key, *files)


def _fitting(pairs: list[str]) -> list[str]:
    """The first of them, and those behind it that there is room for."""
    ends = accumulate(map(len, pairs))
    return [pair for n, (pair, end) in enumerate(zip(pairs, ends, strict=True)) if n == 0 or end <= PAIRS_CHARS]


class _Counted:
    """Entries, and how many of them were taken so far."""

    def __init__(self, entries: Iterable[Any]) -> None:
        self._entries, self.n = entries, 0

    def __iter__(self) -> Any:
        for entry in self._entries:
            self.n += 1
            yield entry


def dispatch_files(
    services: Services, job_id: str, execution: str, time_left: TimeLeft, draft_key: str | None = None
) -> dict[str, Any]:
    """From the beginning, or from the draft that an earlier invocation left. Raises NotOwnerError, InvalidJobError for
    wrong entries, DuplicateTargetError, NoProgressError, and what reading the list raises. Then neither object has
    changed."""
    row = services.jobs.owned(job_id, execution)
    job = load_job(get_json(services, row.document_key), job_id)
    carried = load_checkpoint(services, row, draft_key)
    folder = new_work_folder(job_id, row.run)
    dispatch = Dispatch(
        services,
        row,
        job,
        time_left,
        Draft(**carried.get("draft", {})),
        Lists(services, row, folder, carried.get("lists", {})),
        Targets(services, folder, carried.get("targets", ())),
        [FieldError(**mistake) for mistake in carried.get("mistakes", [])],
    )
    answer = {"job_id": job_id, "execution": execution}
    if dispatch.is_over():
        return answer | _dispatched(services, row, job, dispatch.lists.totals)
    idle = count_idle(carried.get("idle", 0), moved=dispatch.has_moved, what=f"job {job_id}: listing its files")
    checkpoint = {
        "draft": asdict(dispatch.draft),
        "lists": dispatch.lists.save(),
        "targets": dispatch.targets.save(),
        "mistakes": [asdict(mistake) for mistake in dispatch.mistakes],
        "idle": idle,
    }
    key = save_checkpoint(services, folder, checkpoint)
    return answer | {"action": "CONTINUE", "draft_key": key, "files": dispatch.lists.totals.files, "units": 0}


def _dispatched(services: Services, row: JobRow, job: Job, totals: Totals) -> dict[str, Any]:
    row = services.jobs.change_state(row, JobState.TRANSFERRING, files_total=totals.files, bytes_total=totals.bytes)
    announce_job(services, row)
    most = services.config.max_concurrency
    return {
        "action": "TRANSFER" if totals.files else "EMPTY",
        "units_key": key_of(row.job_id, UNITS),
        "max_concurrency": min(most, job.limits.max_concurrency or most),
        "commit": row.commit,
        "files": totals.files,
        "units": totals.units,
    }
