"""ProcessFile: the files of one unit of work, landed and recorded.

Knows when a function may not begin a file, that what one file does never harms another of its unit, and what is
carried to the next invocation when time runs out. Refuses to know how bytes move: landing.py does.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sluiceway.aws.file_table import Ended
from sluiceway.aws.rows import JobRow
from sluiceway.errors import CannotResumeError, NoProgressError, PlanError, SluicewayError, SourceStatusError
from sluiceway.job_files import tasks_of
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FILE_ENDS, UNLANDED
from sluiceway.jobs.units import Unit
from sluiceway.landing.land import land_or_pause
from sluiceway.landing.relaying import MAX_IDLE, TimeLeft, is_too_late
from sluiceway.landing.tally import Tally
from sluiceway.steps.announcing import announce_files
from sluiceway.steps.fairness import NotNow, Patience
from sluiceway.steps.gates import look, may_begin, patience_of
from sluiceway.steps.leftovers import abort_carried, abort_refused
from sluiceway.steps.progress import Progress
from sluiceway.steps.refreshing import is_wanted, may_renew, retry_link, wants_link
from sluiceway.steps.rerunning import still_stored
from sluiceway.steps.tools import options_of, tools_for, with_fresh_access
from sluiceway.transfer.checkpoint import Checkpoint
from sluiceway.wiring import Services

if TYPE_CHECKING:
    from sluiceway.landing.splitting import Split

# Ends of a unit are written together, but not kept back for longer than this: what is written is not done twice.
HOLD_SECONDS = 5.0

Landed = FileResult | Checkpoint | None


@dataclass(frozen=True, slots=True)
class Worked:
    """What an invocation did: the files it ended; what the next one must be given, if there must be one, as `{"idle":
    invocations without progress, "files": {file id: checkpoint}, "whole": why a file that asked for it is not split}`;
    the split that was begun, and in which run of the job; or that the file needs parts larger than this function's
    memory holds."""

    ended: list[Ended]
    carry: dict[str, Any] | None = None
    split: Split | None = None
    run: int | None = None
    needs_memory: bool = False


def process_unit(
    services: Services,
    job_id: str,
    execution: str,
    unit: Unit,
    time_left: TimeLeft,
    carry: Mapping[str, Any] | None = None,
) -> Worked:
    """Lands the files of a unit that have no end yet. A job that is another execution's, ended, cancelled, past its
    deadline or its failure limit gets no more files, and what was carried is aborted. An error that is nobody's fault
    but ours ends its own file where others of the unit must go on; where all have had their turn it is raised. So is
    NoProgressError after two idle invocations."""
    job = _open_again(services, services.jobs.find(job_id), execution)
    carry = carry or {"idle": 0, "files": {}, "whole": None}
    if job is None or not may_begin(services, job, execution):
        if carry["files"]:
            abort_carried(services, tasks_of(services, unit), carry)
        return Worked([])
    tasks = tasks_of(services, unit)
    known = services.files.known(job_id, job.run, tasks)
    # One that was carried here is under way, whatever another invocation of its unit made of it.
    under_way = {file_id for file_id in carry["files"] if file_id in known and known[file_id].state in UNLANDED}
    tasks = [task for task in tasks if task.file_id in under_way or is_wanted(job, known.get(task.file_id))]
    whole = carry["whole"]
    # Told here, not by a Choice of its own: a transition for every unit would cost more than this invocation.
    if unit.large and services.config.memory_bytes < services.config.large_memory_bytes:
        return Worked([], needs_memory=True)
    before = services.files.landed_before(job_id, job.run, tasks)
    if job.redrives:  # of this execution: what it had landed is landed, and CompleteJob takes it over
        tasks = [task for task in tasks if task.file_id not in before]
    if not whole and len(tasks) == 1 and tasks[0].split:
        begun = _begin_split(services, job, tasks[0], before.get(tasks[0].file_id), time_left)
        if begun is None:  # its host had no turn for it
            return Worked([], {**carry, "idle": 0})
        if not isinstance(begun, str):
            return Worked(begun) if isinstance(begun, list) else Worked([], split=begun, run=job.run)
        whole = begun
    carried = {file_id: result.checkpoint for file_id, result in known.items() if result.checkpoint}
    work = _Work(services, job, time_left, carried | carry["files"], before, whole)
    ended, checkpoints = work.run(tasks)
    # Of more files than threads some have had no turn.
    checkpoints |= {file_id: at for file_id, at in carry["files"].items() if file_id in work.unbegun}
    if work.is_stopped:
        abort_carried(services, tasks, {"files": {**carry["files"], **checkpoints}})
    if work.is_done or work.is_stopped:
        return Worked(ended, needs_memory=work.needs_memory)
    idle = 0 if work.has_recorded or work.is_postponed or checkpoints != carry["files"] else carry["idle"] + 1
    if idle >= MAX_IDLE:
        abort_carried(services, tasks, carry)
        raise NoProgressError(f"{idle} invocations in a row ended no file and moved no byte; give functions more time")
    return Worked(ended, {"idle": idle, "files": checkpoints, "whole": whole})


def _open_again(services: Services, job: JobRow | None, execution: str) -> JobRow | None:
    """The job, which goes on if it had ended and this execution of it was redriven."""
    if job is None or not job.ended:
        return job
    from sluiceway.steps.redriving import resumed

    return resumed(services, job, execution)


def _begin_split(
    services: Services, job: JobRow, task: FileTask, before: FileResult | None, time_left: TimeLeft
) -> Split | list[Ended] | str | None:
    from sluiceway.steps.beginning import begin_split

    return begin_split(services, job, task, before, time_left)


def next_step(event: Mapping[str, Any], worked: Worked, *, is_large: bool = False) -> dict[str, Any]:
    """What the state machine is told: the unit is DONE, the next invocation must CONTINUE with what is carried, it must
    have more memory (LARGE), or the file is SPLIT into segments 0, 1, …"""
    # A file whose split ended with an earlier run is begun anew: what was known of that is known no longer.
    event = {name: value for name, value in event.items() if name not in ("split", "segments", "run")}
    if worked.needs_memory:
        return {**event, "action": "LARGE"}
    if worked.split is not None:
        split, segments = worked.split.to_dict(), list(range(worked.split.segments))
        return {**event, "action": "SPLIT", "run": worked.run, "split": split, "segments": segments}
    if worked.carry is not None:
        return {**event, "action": "LARGE" if is_large else "CONTINUE", "carry": worked.carry}
    return {"action": "DONE"}


@dataclass(slots=True)
class _Work:
    """One invocation's share of a unit: a few files at a time, over one connection pool."""

    services: Services
    job: JobRow
    time_left: TimeLeft
    carried: dict[str, Any]
    before: dict[str, FileResult]
    whole: str | None = None
    patience: Patience = field(init=False)
    is_done: bool = True
    is_stopped: bool = False
    has_recorded: bool = False
    is_postponed: bool = False
    needs_memory: bool = False
    unbegun: set[str] = field(default_factory=set[str])
    _pending: list[Ended] = field(default_factory=list[Ended])
    _ended: list[Ended] = field(default_factory=list[Ended])
    _checkpoints: dict[str, Any] = field(default_factory=dict[str, Any])
    _broken: list[tuple[FileTask, Exception]] = field(default_factory=list[tuple[FileTask, Exception]])
    _held_since: float = field(default_factory=time.monotonic)
    _may_begin: bool = True

    def __post_init__(self) -> None:
        self.patience = patience_of(self.services, self.job, self.time_left)

    def run(self, tasks: list[FileTask]) -> tuple[list[Ended], dict[str, Any]]:
        threads = max(1, min(len(tasks), self.services.config.batch_threads))
        # Those that an earlier invocation had no time for come first.
        first = sorted(tasks, key=lambda task: task.file_id not in self.carried)
        waiting, running = deque(first), dict[Future[Landed], FileTask]()
        with ThreadPoolExecutor(threads, "file") as pool:
            while running or (waiting and self._goes_on()):
                while waiting and len(running) < threads and self._goes_on():
                    task = waiting.popleft()
                    running[pool.submit(self._land, task, threads)] = task
                finished, _ = wait(running, timeout=HOLD_SECONDS, return_when=FIRST_COMPLETED)
                for future in finished:
                    self._take(running.pop(future), future)
                if time.monotonic() - self._held_since >= HOLD_SECONDS:
                    self._record()
        self._record()
        self.unbegun = {task.file_id for task in waiting}
        self.is_done = not self._checkpoints and not ((waiting or self.is_postponed) and self._may_begin)
        if self._broken:
            from sluiceway.steps.unforeseen import ends_of

            self._pending += ends_of(self._broken, others_go_on=self.needs_memory or not self.is_done)
            self._record()
        return self._ended, self._checkpoints

    def _goes_on(self) -> bool:
        return self._may_begin and not self.time_left.is_short()

    def _take(self, task: FileTask, future: Future[Landed]) -> None:
        try:
            result = future.result()
        except Exception as error:  # raised at the end: the neighbours come first
            self._broken.append((task, error))
            return
        if isinstance(result, Checkpoint):
            self._checkpoints[task.file_id] = result.to_dict()
        elif result is not None:
            why = f"not split: {self.whole}" if self.whole and not result.reason else result.reason
            self._pending.append((task, replace(result, reason=why)))

    def _record(self) -> None:
        """Writes the ends so far, and asks whether the next file may begin."""
        recorded = self.services.files.end(self.job.job_id, self.job.run, self._pending)
        announce_files(self.services, self.job.job_id, recorded)
        abort_refused(self.services, self.job, self._pending, recorded)
        self.has_recorded = self.has_recorded or bool(recorded)
        self._ended += [(task, result) for task, result in recorded if result.state in FILE_ENDS]
        self._pending, self._held_since = [], time.monotonic()
        job, stopped = look(self.patience, self.job.execution)
        self._may_begin = job is not None and may_begin(self.services, job, self.job.execution)
        self.is_stopped = self.is_stopped or stopped

    def _land(self, task: FileTask, threads: int) -> Landed:
        progress = Progress(self.services, self.job.job_id, task)
        checkpoint = self._checkpoint(task)
        tally = Tally.of(checkpoint)
        try:
            before = self.before.get(task.file_id)
            stored = still_stored(self.services, task, before) if before else None
            if stored is not None:
                return stored
            with self.patience.turn(task):
                if checkpoint is not None and is_too_late(checkpoint, self.time_left):
                    raise NotNow(f"{task.key} has had as little time before, and it was not enough")
                return self._move(task, threads, progress, checkpoint, tally)
        except NotNow:
            self.is_postponed = True
            return checkpoint
        except SluicewayError as error:
            config = self.services.config
            if isinstance(error, PlanError) and config.memory_bytes < config.large_memory_bytes:
                self.needs_memory = True
                return None  # ProcessFileLarge gives it its end
            if wants_link(self.job, error):
                return tally.on(retry_link(self.job, error, checkpoint.to_dict() if checkpoint else None))
            if self.is_stopped and isinstance(error, CannotResumeError):
                return None  # it was told to stop: whoever stopped the job gives it its end
            return tally.on(FileResult.of_error(error, bytes=progress.bytes))
        finally:
            progress.end()

    def _checkpoint(self, task: FileTask) -> Checkpoint | None:
        carried = self.carried.get(task.file_id)
        try:
            return Checkpoint.from_dict(carried) if carried else None
        except ValueError:
            # Written before a deployment that changed it: what was sent is given up, and the file begun anew.
            abort_carried(self.services, [task], {"files": self.carried})
            return None

    def _move(
        self, task: FileTask, threads: int, progress: Progress, checkpoint: Checkpoint | None, tally: Tally
    ) -> Landed:
        tally.begin(self.services.source)
        options = options_of(self.services, self.job, threads)
        renewable = may_renew(self.job)

        def attempt(at: FileTask) -> Landed:
            nonlocal checkpoint
            tools = tools_for(self.services, self.job, at, progress, self.time_left, links_renewable=renewable)
            try:
                return land_or_pause(at, options, replace(tools, tally=tally), checkpoint)
            except SourceStatusError as error:
                # With fresh access the file goes on where this link died.
                checkpoint = Checkpoint.from_dict(error.checkpoint) if error.checkpoint else checkpoint
                error.checkpoint = checkpoint.to_dict() if checkpoint else None
                raise

        return with_fresh_access(self.services, self.job, task, attempt)
