"""What a job costs, in USD, from the sizes of its files. Pure arithmetic over a price list.

Knows what each file makes AWS count: requests, gigabyte-seconds, transitions, table writes. Refuses to know what is
deployed. Prices are list prices of us-east-1; another Region is another Prices.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from sluiceway.transfer.plan import GIB, MIB, plan_parts

PRICES_DATE = "2026-11"


@dataclass(frozen=True, slots=True)
class Prices:
    """USD a unit; the unit is in each name."""

    s3_put: float = 0.005 / 1000
    s3_get: float = 0.0004 / 1000
    lambda_request: float = 0.20 / 1e6
    lambda_arm_gb_second: float = 0.0000133334
    transition: float = 0.025 / 1000
    table_write: float = 0.625 / 1e6
    table_read: float = 0.125 / 1e6
    event: float = 1.00 / 1e6
    log_gb: float = 0.50


@dataclass(frozen=True, slots=True)
class Machine:
    """How a function works. `bytes_per_second` is what one function moves from a source that is no bottleneck: the
    lower end of what people measure for Lambda, 50 to 90 MB/s. `file_seconds` is the round trips of one small file,
    `start_seconds` what an invocation takes before its first file."""

    memory_mb: int = 512
    uploaders: int = 2
    part_bytes: int | None = None
    bytes_per_second: float = 70e6
    file_seconds: float = 0.15
    start_seconds: float = 0.35
    threads: int = 8
    timeout_seconds: float = 900.0
    batch_files: int = 200
    batch_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True)
class Cost:
    """USD by what is paid for, and the counts behind it."""

    s3_requests: float = 0.0
    compute: float = 0.0
    workflow: float = 0.0
    table: float = 0.0
    events_and_logs: float = 0.0
    invocations: int = 0
    transitions: int = 0

    @property
    def total(self) -> float:
        return self.s3_requests + self.compute + self.workflow + self.table + self.events_and_logs

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


# StartExport, a Choice, DispatchFiles, a Choice, TransferFiles, CompleteJob, a Choice, the end; and its functions.
JOB_TRANSITIONS = 9
JOB_INVOCATIONS = 4
# The Map's own, ProcessFile and the Choice behind it.
CHILD_TRANSITIONS = 3
# A transactional write costs two units a row; a row is its own and a share of the counter.
WRITES_A_FILE = 2
LOG_BYTES_A_FILE = 600
LOG_BYTES_AN_INVOCATION = 2500


def job_cost(sizes: Iterable[tuple[int, int]], machine: Machine | None = None, prices: Prices | None = None) -> Cost:
    """Of a job whose files are given as (how many, bytes of each). Raises PlanError for a file S3 cannot take."""
    machine, prices = machine or Machine(), prices or Prices()
    total = _parent(prices)
    for count, size in sizes:
        total += _files(count, size, machine, prices)
    return total


def requests_of(size: int, machine: Machine) -> int:
    """S3 requests of the PUT class for one file: one, or create, the parts and complete."""
    plan = plan_parts(
        size, memory_bytes=machine.memory_mb * MIB, uploaders=machine.uploaders, part_bytes=machine.part_bytes
    )
    parts = max(1, -(-size // plan.part_bytes))
    return 1 if parts == 1 else parts + 2


def _files(count: int, size: int, machine: Machine, prices: Prices) -> Cost:
    each = max(1, min(machine.batch_files, machine.batch_bytes // max(1, size)))
    units = -(-count // each)
    # A unit's files share its threads; a single file has the line to itself.
    seconds = count * size / machine.bytes_per_second + count * machine.file_seconds / min(each, machine.threads)
    relays = max(0, int(size / machine.bytes_per_second / (machine.timeout_seconds * 0.9)))
    invocations = units * (1 + relays)
    seconds += invocations * machine.start_seconds
    transitions = units * (CHILD_TRANSITIONS + 2 * relays)
    logged = count * LOG_BYTES_A_FILE + invocations * LOG_BYTES_AN_INVOCATION
    return Cost(
        s3_requests=count * requests_of(size, machine) * prices.s3_put + units * prices.s3_get,
        compute=seconds * machine.memory_mb / 1024 * prices.lambda_arm_gb_second + invocations * prices.lambda_request,
        workflow=transitions * prices.transition,
        # The ends, the counters, one read of the job a unit, and the report's read of every row.
        table=(count * WRITES_A_FILE + units * 2) * prices.table_write + (count + units * 2) * prices.table_read,
        events_and_logs=logged / GIB * prices.log_gb,
        invocations=invocations,
        transitions=transitions,
    )


def _parent(prices: Prices) -> Cost:
    return Cost(
        s3_requests=12 * prices.s3_put,
        compute=JOB_INVOCATIONS * (prices.lambda_request + 2 * 0.5 * prices.lambda_arm_gb_second),
        workflow=JOB_TRANSITIONS * prices.transition,
        table=10 * prices.table_write,
        events_and_logs=4 * prices.event,
        invocations=JOB_INVOCATIONS,
        transitions=JOB_TRANSITIONS,
    )
