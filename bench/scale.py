"""What large jobs need of the platform, held against every limit it has: `python -m bench.scale`. Nothing is moved.

Knows the limits of Step Functions, Lambda, S3 and DynamoDB and how many of each thing the workflow of infra/ makes with
the default settings. Sizes of payloads are those of the real objects, made here and measured. Of events, every
invocation is counted with one that failed before it and was retried; of hours and USD, none is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from infra.settings import Settings
from sluiceway.cost import (
    RECORD_SECONDS,
    WRITES_A_ROW,
    Cost,
    Machine,
    Prices,
    job_cost,
    split_cost,
)
from sluiceway.errors import PlanError
from sluiceway.jobs.files import SHARDS
from sluiceway.jobs.units import Unit
from sluiceway.landing.options import Options
from sluiceway.landing.relaying import MAX_RESERVE_SECONDS, RESERVE_SHARE
from sluiceway.landing.splitting import Split, plan_split
from sluiceway.transfer.checkpoint import Checkpoint, Position
from sluiceway.transfer.digest import ALGORITHMS
from sluiceway.transfer.plan import GIB, MAX_PARTS, MIB, Plan, fits, plan_parts
from sluiceway.transfer.resumable import resumable_hash
from sluiceway.transfer.segments import MAX_AT_ONCE, MAX_SEGMENTS, plan_segments

TB = 10**12
# Quotas of AWS Step Functions, "Quotas related to state machine executions" and "… state throttling".
MAX_EVENTS = 25_000
MAX_PAYLOAD_BYTES = 262_144
MAX_CHILDREN_AT_ONCE = 10_000
# A Map Run reads at most so many items (the same page).
MAX_ITEMS = 100_000_000
# Units a second of one partition, on demand too: DynamoDB Developer Guide, "Understanding DynamoDB warm throughput in
# different scenarios". What is hot for long is spread over more of them, but a job is over by then.
MAX_PARTITION_WRITES = 1000

# History events: a Lambda task is entered, scheduled, started, succeeded and exited; a Choice entered and exited. A
# retry has been scheduled, started and failed before.
TASK_EVENTS, CHOICE_EVENTS, EXECUTION_EVENTS, RETRY_EVENTS = 5, 2, 2, 3
INVOCATION_EVENTS = TASK_EVENTS + RETRY_EVENTS
# Files a second on 512 MB, that is 0.29 of a CPU. Of a whole one, measured: 17 µs to pass over a file of a list, 57 to
# judge and write it, 80 to report its end, which is read in a hundredth of a request of 15 ms.
PASSED_A_SECOND, LISTED_A_SECOND, COMPLETED_A_SECOND = 17_000, 5_000, 2_300
# Iteration started and succeeded, and the Succeed state in it entered and exited.
ITERATION_EVENTS = 4
# MoveSegments entered, started, succeeded and exited.
MAP_EVENTS = 4
# Started, run started, run succeeded, succeeded, entered, exited.
MAP_RUN_EVENTS = 6


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    files: int
    bytes_each: int
    max_concurrency: int = 100
    split: bool = False


@dataclass(frozen=True, slots=True)
class Needs:
    """Seconds, counts and bytes of one job, each of the busiest execution where there are many. `memory_mb` is of the
    functions that move its bytes, `writes` are write units a second of the busiest partition."""

    memory_mb: int
    hours: float
    parts: int
    segments: int
    relays: int
    dispatches: int
    completions: int
    units: int
    parent_events: int
    child_events: int
    payload_bytes: int
    writes: int
    transitions: int
    usd: float


def needs(job: Job, *, polls: int = 1000) -> Needs:
    """Raises PlanError for a file that S3 or the memory cannot take."""
    machine = _machine(job.bytes_each)
    is_large = machine.memory_mb > Machine().memory_mb
    plan = _plan(job, machine)
    parts = -(-job.bytes_each // plan.part_bytes)
    segments = len(plan_segments(job.bytes_each, plan.part_bytes)) if job.split else 0
    moved_at_once = job.bytes_each / segments if segments else job.bytes_each
    seconds = moved_at_once / machine.bytes_per_second
    relays = int(seconds / _worked(machine.timeout_seconds))
    each = max(1, min(machine.batch_files, machine.batch_bytes // job.bytes_each))
    units = -(-job.files // each)
    invocations = relays + 1 + is_large  # the first of a large file only says so
    cost = _cost(job, machine, parts, segments, invocations)
    lanes = min(job.max_concurrency, units) * (min(segments, MAX_AT_ONCE, job.max_concurrency) if segments else 1)
    total = job.files * job.bytes_each / machine.bytes_per_second
    total += job.files * machine.file_seconds / min(each, machine.threads)
    return Needs(
        memory_mb=machine.memory_mb,
        hours=total / lanes / 3600,
        parts=parts,
        segments=segments,
        relays=relays,
        dispatches=(dispatches := _dispatches(job.files, machine.timeout_seconds)),
        completions=(completions := -(-job.files // int(COMPLETED_A_SECOND * _worked(machine.timeout_seconds)))),
        units=units,
        parent_events=_parent_events(polls, dispatches + completions),
        child_events=_child_events(invocations, segments),
        payload_bytes=_payload_bytes(segments, files=min(each, machine.threads)),
        writes=_writes(job.files, units, total, total / lanes),
        transitions=cost.transitions,
        usd=cost.total,
    )


def exceeded(job: Job, found: Needs) -> list[str]:
    """Every limit that the job would break, in words."""
    limits = {
        "parts of an upload": (found.parts, MAX_PARTS),
        "segments of a file": (found.segments, MAX_SEGMENTS),
        "events of the parent": (found.parent_events, MAX_EVENTS),
        "events of a child": (found.child_events, MAX_EVENTS),
        "bytes of a payload": (found.payload_bytes, MAX_PAYLOAD_BYTES),
        "items of a Map Run": (found.units, MAX_ITEMS),
        "children at once": (job.max_concurrency, MAX_CHILDREN_AT_ONCE),
        "writes a second of a partition": (found.writes, MAX_PARTITION_WRITES),
    }
    return [f"{what}: {value} of {most}" for what, (value, most) in limits.items() if value > most]


def _machine(bytes_each: int) -> Machine:
    """The functions that such a file is moved by."""
    small = Machine()
    is_small = fits(bytes_each, memory_bytes=small.memory_mb * MIB, uploaders=small.uploaders)
    return small if is_small else replace(small, memory_mb=Settings().process_file_large_memory_mb)


def _plan(job: Job, machine: Machine) -> Plan:
    room: dict[str, Any] = {"memory_bytes": machine.memory_mb * MIB, "uploaders": machine.uploaders}
    split = plan_split(job.bytes_each, Options(**room)) if job.split else None
    return split or plan_parts(job.bytes_each, **room)


def _cost(job: Job, machine: Machine, parts: int, segments: int, invocations: int) -> Cost:
    """`invocations` are those of each segment, if there are any."""
    if not segments:
        return job_cost([(job.files, job.bytes_each)], machine)
    each = split_cost(
        job.bytes_each, parts=parts, segments=segments, machine=machine, prices=Prices(), invocations=invocations
    )
    return sum([each] * job.files, job_cost([]))


def _writes(files: int, units: int, worked: float, lasting: float) -> int:
    """Write units a second of each of the partitions that the rows of a job's files are spread over: an end a file, and
    a counter for each shard that a function has found ends of when it wrote them down. `worked` are the seconds of all
    functions, `lasting` those of the job; one that lasts less than such a look is written in as long."""
    looks = units + worked / RECORD_SECONDS
    rows = files + min(files, looks * SHARDS)
    return round(WRITES_A_ROW * rows / SHARDS / max(lasting, RECORD_SECONDS))


def _worked(timeout_seconds: float) -> float:
    """Of an invocation; the rest is its reserve."""
    return timeout_seconds - min(MAX_RESERVE_SECONDS, timeout_seconds * RESERVE_SHARE)


def _dispatches(files: int, timeout_seconds: float) -> int:
    """Invocations of DispatchFiles: each reads a manifest from its beginning. Raises PlanError where passing over takes
    all of the time."""
    listed = count = 0
    while listed < files:
        count += 1
        seconds = _worked(timeout_seconds) - listed / PASSED_A_SECOND
        if seconds < 1:
            raise PlanError(f"{files} files: the list takes more than the time of an invocation to read")
        listed += int(seconds * LISTED_A_SECOND)
    return count


def _parent_events(polls: int, invocations: int) -> int:
    """`invocations` are those of DispatchFiles and CompleteJob, each with the Choice behind it."""
    poll = INVOCATION_EVENTS + CHOICE_EVENTS + 2  # and the Wait
    others = 3 * INVOCATION_EVENTS + 4 * CHOICE_EVENTS + MAP_RUN_EVENTS + EXECUTION_EVENTS + 2
    return polls * poll + invocations * (INVOCATION_EVENTS + CHOICE_EVENTS) + others


def _child_events(invocations: int, segments: int) -> int:
    """`invocations` are those of the file, or of each of its segments."""
    invocation = INVOCATION_EVENTS + CHOICE_EVENTS
    if not segments:
        return EXECUTION_EVENTS + 2 + invocations * invocation
    beside = EXECUTION_EVENTS + invocation + MAP_EVENTS + INVOCATION_EVENTS  # ProcessFile and FinishFile
    return beside + segments * (ITERATION_EVENTS + invocations * invocation)


def _payload_bytes(segments: int, files: int) -> int:
    """Of what a child hands from one invocation to the next: every digest, a long upload id."""
    states: Mapping[str, Mapping[str, str | int]] = {name: resumable_hash(name).state() for name in ALGORITHMS}
    paused = Checkpoint(Position(9999, 5 * TB, states, 2**64 - 1), "u" * 256, "a" * 32, '"' + "e" * 128 + '"', 5 * TB)
    state: dict[str, Any] = {
        "job_id": "j" * 80,
        "execution": "arn:aws:states:us-east-1:123456789012:execution:" + "x" * 160,
        "unit": json.loads(Unit(f"jobs/{'j' * 80}/manifest.jsonl", 10**9, 10**6, 200).to_json()),
        "action": "CONTINUE",
    }
    if segments:
        split = Split("u" * 256, "a" * 32, '"' + "e" * 128 + '"', 5 * TB, GIB, GIB, segments)
        state |= {"split": split.to_dict(), "segments": list(range(segments))}
    else:
        state["carry"] = {"idle": 0, "files": {f"{n:032x}": paused.to_dict() for n in range(files)}, "whole": None}
    return len(json.dumps(state).encode())


JOBS = (
    Job("100 GB, one file, split", 1, TB // 10, split=True),
    Job("1 TB, one file, in order", 1, TB),
    Job("1 TB, one file, split", 1, TB, split=True),
    Job("1 TB in files of 5 GiB", TB // (5 * GIB) + 1, 5 * GIB),
    Job("5 TB, one file, in order", 1, 5 * TB),
    Job("5 TB, one file, split", 1, 5 * TB, split=True),
    Job("100,000 files of 10 KB", 100_000, 10_000),
    Job("1,000,000 files of 10 KB", 1_000_000, 10_000),
    Job("10,000,000 files of 10 KB", 10_000_000, 10_000, max_concurrency=130),
    Job("1,000,000 files of 10 MB", 1_000_000, 10_000_000, max_concurrency=600),
)


def main() -> None:
    columns = (
        "MB",
        "hours",
        "parts",
        "segments",
        "relays",
        "dispatches",
        "completions",
        "units",
        "parent",
        "child",
        "payload",
        "writes/s",
        "transitions",
        "USD",
    )
    print(f"{'job':28}" + "".join(f"{column:>12}" for column in columns) + "  limits")
    for job in JOBS:
        found = needs(job)
        numbers = (
            str(found.memory_mb),
            f"{found.hours:.2f}",
            *(str(n) for n in (found.parts, found.segments, found.relays, found.dispatches, found.completions)),
            *(str(n) for n in (found.units, found.parent_events)),
            *(str(n) for n in (found.child_events, found.payload_bytes, found.writes, found.transitions)),
            f"{found.usd:.2f}",
        )
        print(
            f"{job.name:28}" + "".join(f"{n:>12}" for n in numbers) + f"  {'; '.join(exceeded(job, found)) or 'kept'}"
        )


if __name__ == "__main__":
    main()
