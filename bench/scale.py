"""What large jobs need of the platform, held against every limit it has: `python -m bench.scale`. Nothing is moved.

Knows the limits of Step Functions, Lambda and S3 and how many of each thing the workflow of infra/ makes. Sizes of
payloads are those of the real objects, made here and measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluiceway.cost import Machine, job_cost
from sluiceway.errors import PlanError
from sluiceway.jobs.units import Unit
from sluiceway.landing.relaying import MAX_RESERVE_SECONDS, RESERVE_SHARE
from sluiceway.landing.splitting import Split
from sluiceway.transfer.checkpoint import Checkpoint, Position
from sluiceway.transfer.digest import ALGORITHMS
from sluiceway.transfer.plan import GIB, MAX_PARTS, MIB, plan_parts
from sluiceway.transfer.resumable import resumable_hash
from sluiceway.transfer.segments import MAX_SEGMENTS, plan_segments

TB = 10**12
# Quotas of AWS Step Functions, "Quotas related to state machine executions" and "… state throttling".
MAX_EVENTS = 25_000
MAX_PAYLOAD_BYTES = 262_144
MAX_CHILDREN_AT_ONCE = 10_000
# A Map Run reads at most so many items (the same page).
MAX_ITEMS = 100_000_000

# History events: a Lambda task is entered, scheduled, started, succeeded and exited; a Choice entered and exited.
TASK_EVENTS, CHOICE_EVENTS, EXECUTION_EVENTS = 5, 2, 2
# Files a second on 512 MB, that is 0.29 of a CPU. Of a whole one, measured: 17 µs to pass over a file of a list, 57 to
# judge and write it, 80 to report its end, which is read in a hundredth of a request of 15 ms.
PASSED_A_SECOND, LISTED_A_SECOND, COMPLETED_A_SECOND = 17_000, 5_000, 2_300
# Iteration started and succeeded, and the Succeed state in it entered and exited.
ITERATION_EVENTS = 4
# Started, run started, run succeeded, succeeded, entered, exited.
MAP_RUN_EVENTS = 6


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    files: int
    bytes_each: int
    max_concurrency: int = 100
    split: bool = False
    memory_mb: int = 512


@dataclass(frozen=True, slots=True)
class Needs:
    """Seconds, counts and bytes of one job, each of the busiest execution where there are many."""

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
    transitions: int
    usd: float


def needs(job: Job, *, polls: int = 1000) -> Needs:
    """Raises PlanError for a file that S3 or the memory cannot take."""
    machine = Machine(memory_mb=job.memory_mb)
    plan = plan_parts(job.bytes_each, memory_bytes=job.memory_mb * MIB, uploaders=machine.uploaders)
    segments = len(plan_segments(job.bytes_each, plan.part_bytes)) if job.split else 0
    moved_at_once = job.bytes_each / segments if segments else job.bytes_each
    seconds = moved_at_once / machine.bytes_per_second
    relays = int(seconds / (machine.timeout_seconds * 0.9))
    each = max(1, min(machine.batch_files, machine.batch_bytes // job.bytes_each))
    units = -(-job.files // each)
    cost = job_cost([(job.files, job.bytes_each)], machine)
    lanes = min(job.max_concurrency, units) * (min(segments, 40) if segments else 1)
    total = job.files * job.bytes_each / machine.bytes_per_second
    total += job.files * machine.file_seconds / min(each, machine.threads)
    return Needs(
        hours=total / lanes / 3600,
        parts=-(-job.bytes_each // plan.part_bytes),
        segments=segments,
        relays=relays,
        dispatches=(dispatches := _dispatches(job.files, machine.timeout_seconds)),
        completions=(completions := -(-job.files // int(COMPLETED_A_SECOND * _worked(machine.timeout_seconds)))),
        units=units,
        parent_events=_parent_events(polls, dispatches + completions),
        child_events=_child_events(relays, segments),
        payload_bytes=_payload_bytes(segments, files=min(each, machine.threads)),
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
    }
    return [f"{what}: {value} of {most}" for what, (value, most) in limits.items() if value > most]


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
    poll = TASK_EVENTS + CHOICE_EVENTS + 2  # and the Wait
    others = 3 * TASK_EVENTS + 4 * CHOICE_EVENTS + MAP_RUN_EVENTS + EXECUTION_EVENTS + 2
    return polls * poll + invocations * (TASK_EVENTS + CHOICE_EVENTS) + others


def _child_events(relays: int, segments: int) -> int:
    invocation = TASK_EVENTS + CHOICE_EVENTS
    if not segments:
        return EXECUTION_EVENTS + 2 + (relays + 1) * invocation
    return EXECUTION_EVENTS + 2 * invocation + 4 + segments * (ITERATION_EVENTS + (relays + 1) * invocation)


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
    Job("1 TB, one file, in order", 1, TB, memory_mb=5120),
    Job("1 TB, one file, split", 1, TB, split=True, memory_mb=5120),
    Job("1 TB in files of 5 GiB", TB // (5 * GIB) + 1, 5 * GIB),
    Job("5 TB, one file, in order", 1, 5 * TB, memory_mb=5120),
    Job("5 TB, one file, split", 1, 5 * TB, split=True, memory_mb=5120),
    Job("100,000 files of 10 KB", 100_000, 10_000),
    Job("1,000,000 files of 10 KB", 1_000_000, 10_000),
    Job("10,000,000 files of 10 KB", 10_000_000, 10_000, max_concurrency=1000),
    Job("1,000,000 files of 10 MB", 1_000_000, 10_000_000, max_concurrency=1000),
)


def main() -> None:
    columns = (
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
        "transitions",
        "USD",
    )
    print(f"{'job':28}" + "".join(f"{column:>12}" for column in columns) + "  limits")
    for job in JOBS:
        found = needs(job)
        numbers = (
            f"{found.hours:.2f}",
            *(str(n) for n in (found.parts, found.segments, found.relays, found.dispatches, found.completions)),
            *(str(n) for n in (found.units, found.parent_events)),
            *(str(n) for n in (found.child_events, found.payload_bytes, found.transitions)),
            f"{found.usd:.2f}",
        )
        print(
            f"{job.name:28}" + "".join(f"{n:>12}" for n in numbers) + f"  {'; '.join(exceeded(job, found)) or 'kept'}"
        )


if __name__ == "__main__":
    main()
