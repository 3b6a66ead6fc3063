"""What a job costs, in USD, from the sizes of its files, and what a stack costs that does nothing. Pure arithmetic over
a price list.

Knows what each file makes AWS count: requests, gigabyte-seconds, transitions, table writes. Refuses to know what is
deployed. Prices are list prices of us-east-1; another Region is another Prices.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from sluiceway.config import MB_A_VCPU
from sluiceway.jobs.files import SHARDS
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
    # A month; CloudWatch gives every account ten alarms, ten metrics and three dashboards of up to 50 metrics.
    alarm_metric: float = 0.10
    custom_metric: float = 0.30
    dashboard: float = 3.00


@dataclass(frozen=True, slots=True)
class Machine:
    """How a function works. `bytes_per_second` is what the network gives one function, from a source that is no
    bottleneck: the middle of what people measure for Lambda, 50 to 90 MB/s. `cpu_bytes_per_second` is what one vCPU
    moves, TLS on both sides and SHA-256 included, measured at 3.3 s of CPU a GiB. `file_seconds` is the round trips
    of one small file, `start_seconds` what an invocation takes before its first file."""

    memory_mb: int = 512
    uploaders: int = 2
    part_bytes: int | None = None
    bytes_per_second: float = 70e6
    cpu_bytes_per_second: float = GIB / 3.3
    file_seconds: float = 0.15
    start_seconds: float = 0.35
    threads: int = 8
    timeout_seconds: float = 900.0
    batch_files: int = 200
    batch_bytes: int = 64 * MIB
    progress_seconds: float = 10.0

    @property
    def rate(self) -> float:
        """Bytes a second, of the narrower of network and CPU."""
        return min(self.bytes_per_second, self.memory_mb / MB_A_VCPU * self.cpu_bytes_per_second)


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


# StartExport to CompleteJob with the Choices between them, and the end; a poll more or less is lost in the rounding.
JOB_TRANSITIONS = 12
JOB_INVOCATIONS = 4
# ProcessFile, the Choice behind it, and the child's end; a relay is the first two again.
CHILD_TRANSITIONS = 3
RELAY_TRANSITIONS = 2
# MoveSegments and FinishFile, where a file in order comes to the child's end; and the end of each segment's iteration.
SPLIT_TRANSITIONS = 1
ITERATION_TRANSITIONS = 1
# DynamoDB charges a row in a transaction twice.
WRITES_A_ROW = 2
# A row that is read consistently, or looked for in vain, is a read.
READS_A_FILE = 2
# How often a function writes down the files that have ended, and looks whether its job goes on.
RECORD_SECONDS = 5.0
LOG_BYTES_A_FILE = 600
LOG_BYTES_AN_INVOCATION = 2500


def job_cost(sizes: Iterable[tuple[int, int]], machine: Machine | None = None, prices: Prices | None = None) -> Cost:
    """Of a job whose files are given as (how many, bytes of each). Raises PlanError for a file S3 cannot take."""
    machine, prices = machine or Machine(), prices or Prices()
    total = _parent(prices)
    for count, size in sizes:
        total += files_cost(count, size, machine, prices)
    return total


def requests_of(size: int, machine: Machine) -> int:
    """S3 requests of the PUT class for one file: one, or create, the parts and complete."""
    plan = plan_parts(
        size, memory_bytes=machine.memory_mb * MIB, uploaders=machine.uploaders, part_bytes=machine.part_bytes
    )
    parts = max(1, -(-size // plan.part_bytes))
    return 1 if parts == 1 else parts + 2


def files_cost(count: int, size: int, machine: Machine, prices: Prices, *, units: int | None = None) -> Cost:
    """Of some files of a job, without what the job itself costs. They share `units` invocations, where that is known.
    Raises PlanError as `job_cost` does."""
    if units is None:
        units = -(-count // max(1, min(machine.batch_files, machine.batch_bytes // max(1, size))))
    each = max(1, -(-count // max(1, units)))
    # A unit's files share its threads; a single file has the line to itself.
    seconds = count * size / machine.rate + count * machine.file_seconds / min(each, machine.threads)
    relays = _relays(size, machine)
    invocations = units * (1 + relays)
    looks = units + seconds / RECORD_SECONDS
    seconds += invocations * machine.start_seconds
    transitions = units * (CHILD_TRANSITIONS + RELAY_TRANSITIONS * relays)
    logged = count * LOG_BYTES_A_FILE + invocations * LOG_BYTES_AN_INVOCATION
    return Cost(
        s3_requests=count * requests_of(size, machine) * prices.s3_put + units * prices.s3_get,
        compute=seconds * machine.memory_mb / 1024 * prices.lambda_arm_gb_second + invocations * prices.lambda_request,
        workflow=transitions * prices.transition,
        # Written: the ends, a counter for each shard that a look finds ends of, and where a long file stands. Read: the
        # job at every look and at a unit's begin; of every file what is known before it begins, and its end by the
        # report.
        table=(WRITES_A_ROW * (count + min(count, looks * SHARDS)) + count * _progress_rows(size, machine))
        * prices.table_write
        + (READS_A_FILE * count + units + looks) * prices.table_read,
        events_and_logs=logged / GIB * prices.log_gb,
        invocations=invocations,
        transitions=transitions,
    )


def split_cost(
    size: int, *, parts: int, segments: int, machine: Machine, prices: Prices, invocations: int | None = None
) -> Cost:
    """Of one file that several functions move, without what the job itself costs. Each segment takes so many
    `invocations`, as many as its bytes need where none are stated. Raises PlanError as `job_cost` does."""
    each = 1 + _relays(size // segments, machine) if invocations is None else invocations
    count = segments * each + 1  # and FinishFile
    # The bytes, as of one invocation that is never relayed: what segments take besides comes on top.
    moved = files_cost(1, size, replace(machine, timeout_seconds=float("inf")), prices)
    transitions = SPLIT_TRANSITIONS + segments * (ITERATION_TRANSITIONS + RELAY_TRANSITIONS * each)
    started = count * machine.start_seconds * machine.memory_mb / 1024 * prices.lambda_arm_gb_second
    return moved + Cost(
        s3_requests=(parts + 2 - requests_of(size, machine)) * prices.s3_put,
        compute=started + count * prices.lambda_request,
        workflow=transitions * prices.transition,
        # What a segment gave, and how far the file is.
        table=(segments + 1) * (2 * prices.table_write + prices.table_read),
        events_and_logs=count * LOG_BYTES_AN_INVOCATION / GIB * prices.log_gb,
        invocations=count,
        transitions=transitions,
    )


def _relays(size: int, machine: Machine) -> int:
    return int(size / machine.rate / (machine.timeout_seconds * 0.9))


def _progress_rows(size: int, machine: Machine) -> int:
    """Writes that tell of one file in flight: a row every `progress_seconds`, and its removal."""
    rows = int(size / machine.rate / machine.progress_seconds)
    return rows + 1 if rows else 0


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


@dataclass(frozen=True, slots=True)
class Idle:
    """What a stack keeps while no job runs. `alarm_metrics` counts every metric of every alarm, `dashboard_metrics` the
    different ones on its dashboard; `metric_hours` are those in a month in which a custom metric is sent."""

    alarm_metrics: int
    dashboard_metrics: int
    metric_hours: float
    invocations: int


FREE_ALARM_METRICS = 10
FREE_DASHBOARD_METRICS = 50
HOURS_A_MONTH = 730.0


def idle_cost(idle: Idle, prices: Prices | None = None, *, is_first: bool = True) -> float:
    """USD a month. `is_first`: nothing else in the account uses what CloudWatch gives away."""
    prices = prices or Prices()
    alarms = idle.alarm_metrics - (FREE_ALARM_METRICS if is_first else 0)
    pays_dashboard = not is_first or idle.dashboard_metrics > FREE_DASHBOARD_METRICS
    metrics = 0.0 if is_first else idle.metric_hours / HOURS_A_MONTH * prices.custom_metric
    functions = idle.invocations * (prices.lambda_request + 2 * 0.5 * prices.lambda_arm_gb_second)
    return max(0, alarms) * prices.alarm_metric + (prices.dashboard if pays_dashboard else 0.0) + metrics + functions
