"""How a file is cut into parts. Pure arithmetic.

Requests are the cost that part size decides: at USD 0.005 per 1,000 a part request costs as much as 0.75 s of a
512 MB function, while bigger parts were measured to cost no speed. So a plan takes the largest parts whose buffers
fit a share of memory, and a body that fits one part is a single PutObject. Buffers are anonymous maps touched page
by page, so a small file never pays for a large part.
"""

from __future__ import annotations

from dataclasses import dataclass

from sluiceway.errors import PlanError

MIB = 1024**2
GIB = 1024**3

# S3 User Guide, "Amazon S3 multipart upload limits".
MIN_PART_BYTES = 5 * MIB
MAX_PART_BYTES = 5 * GIB
MAX_PARTS = 10_000
MAX_OBJECT_BYTES = MAX_PARTS * MAX_PART_BYTES  # 48.8 TiB
MAX_SINGLE_PUT_BYTES = 5 * GIB

# Share of a function's memory that part buffers may take; the interpreter and its libraries need about 60 MiB.
BUFFER_SHARE = 0.30


@dataclass(frozen=True, slots=True)
class Limits:
    """S3's limits, as arguments so that tests can be tiny."""

    min_part_bytes: int = MIN_PART_BYTES
    max_part_bytes: int = MAX_PART_BYTES
    max_parts: int = MAX_PARTS
    max_single_put_bytes: int = MAX_SINGLE_PUT_BYTES


@dataclass(frozen=True, slots=True)
class Plan:
    """Part sizes of one file. `growth_parts`: after so many parts of one size the next are twice as large, up to
    `largest_part_bytes`; 0 keeps them uniform."""

    part_bytes: int
    largest_part_bytes: int
    growth_parts: int
    limits: Limits

    def bytes_of_part(self, number: int) -> int:
        """Size of part `number` (1, 2, …) unless the file ends in it. Raises PlanError past the last part S3 takes."""
        if number > self.limits.max_parts:
            raise PlanError(
                f"the file needs more than {self.limits.max_parts} parts of up to {self.largest_part_bytes} bytes; "
                "give the function more memory or set larger parts"
            )
        if not self.growth_parts:
            return self.part_bytes
        doublings = (number - 1) // self.growth_parts
        return min(self.part_bytes << doublings, self.largest_part_bytes)


def plan_parts(
    length: int | None,
    *,
    memory_bytes: int,
    uploaders: int,
    part_bytes: int | None = None,
    max_file_bytes: int = MAX_OBJECT_BYTES,
    limits: Limits | None = None,
) -> Plan:
    """Plans a file of `length` bytes (None: unknown, up to `max_file_bytes`) for a function of `memory_bytes` that
    holds `uploaders` + 1 part buffers. `part_bytes` overrides the choice; it grows where the file would need more
    parts than S3 takes. Raises PlanError when the file cannot fit."""
    limits = limits or Limits()
    room = int(memory_bytes * BUFFER_SHARE) // (uploaders + 1)
    largest = min(limits.max_part_bytes, limits.max_single_put_bytes, max(limits.min_part_bytes, room - room % MIB))
    if part_bytes is not None and not limits.min_part_bytes <= part_bytes <= limits.max_part_bytes:
        raise PlanError(f"a part must have {limits.min_part_bytes} to {limits.max_part_bytes} bytes, not {part_bytes}")
    start = part_bytes or largest
    largest = max(largest, start)
    bound = max_file_bytes if length is None else length
    if bound <= start * limits.max_parts:
        return Plan(start, start, 0, limits)
    if length is not None:
        needed = _round_up(-(-length // limits.max_parts), MIB if limits.min_part_bytes >= MIB else 1)
        if needed > largest:
            raise PlanError(
                f"a file of {length} bytes needs parts of {needed} bytes ({limits.max_parts} at most); "
                f"the memory given allows {largest}"
            )
        return Plan(needed, needed, 0, limits)
    return Plan(start, largest, _growth_parts(start, largest, limits), limits)


def _growth_parts(start: int, largest: int, limits: Limits) -> int:
    """Parts to send at each size so that every doubling still has its turn within max_parts."""
    doublings = 0
    while start << doublings < largest:
        doublings += 1
    return max(1, limits.max_parts // (2 * doublings + 1)) if doublings else 0


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
