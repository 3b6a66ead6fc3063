"""How a file is cut into parts. Pure arithmetic.

Requests are the cost that part size decides: at USD 0.005 per 1,000 a part request costs as much as 0.75 s of a
512 MB function, while bigger parts were measured to cost no speed. So a plan takes the fewest parts
whose buffers fit a share of memory, all of about one size, and a body that fits one part is a single PutObject.
Buffers are anonymous maps touched page by page, so a small file never pays for a large part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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

    @property
    def max_object_bytes(self) -> int:
        return self.max_parts * self.max_part_bytes

    @property
    def unit(self) -> int:
        """What a planned part size is a multiple of: whole MiB, which some look-alikes of S3 ask for."""
        return MIB if self.min_part_bytes >= MIB else 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Part sizes of one file from part `first_part` on. `growth_parts`: after so many parts of one size the next are
    twice as large, up to `largest_part_bytes`, which is what the function can hold; 0 keeps them uniform."""

    part_bytes: int
    largest_part_bytes: int
    growth_parts: int
    limits: Limits
    first_part: int = 1

    def bytes_of_part(self, number: int) -> int:
        """Size of part `number` unless the file ends in it. Raises PlanError past the last part S3 takes."""
        if number > self.limits.max_parts:
            raise PlanError(
                f"the file needs more than {self.limits.max_parts} parts of up to {self.largest_part_bytes} bytes; "
                "give the function more memory or set larger parts"
            )
        if not self.growth_parts:
            return self.part_bytes
        # Past 64 doublings any size has long met its ceiling; the cap keeps the shift small.
        doublings = min(64, (number - self.first_part) // self.growth_parts)
        return min(self.part_bytes << doublings, self.largest_part_bytes)


def plan_parts(
    length: int | None,
    *,
    memory_bytes: int,
    uploaders: int,
    part_bytes: int | None = None,
    max_file_bytes: int = MAX_OBJECT_BYTES,
    limits: Limits | None = None,
    first_part: int = 1,
    offset: int = 0,
) -> Plan:
    """Plans a file of `length` bytes (None: unknown, up to `max_file_bytes`) for a function of `memory_bytes` that
    holds `uploaders` + 1 part buffers. `part_bytes` overrides the choice; it grows where the file would need more
    parts than S3 takes. `first_part` and `offset`: where an earlier invocation stopped; a stop may cut a part short.
    Raises PlanError when the file cannot fit."""
    limits = limits or Limits()
    largest = _largest_part(memory_bytes, uploaders, part_bytes, limits)
    left = replace(limits, max_parts=limits.max_parts - first_part + 1)
    if length is None:
        # One byte more: after the last of max_file_bytes there is still a part to find the end of the body in.
        plan = _plan_unknown(part_bytes or largest, largest, max_file_bytes + 1 - offset, left)
        return replace(plan, limits=limits, first_part=first_part)
    if length > limits.max_object_bytes:
        raise PlanError(f"a file of {length} bytes exceeds the {limits.max_object_bytes} that S3 takes as one object")
    needed = _round_up(-(-(length - offset) // max(1, left.max_parts)), limits)
    if needed > largest:
        held = f"{memory_bytes // MIB} MiB of memory with {uploaders} uploaders hold parts of {largest}"
        limit = f"parts are set to {largest}" if part_bytes == largest else held
        raise PlanError(
            f"a file of {length} bytes needs parts of {needed} bytes ({limits.max_parts} at most); {limit}: "
            "give the function more memory or set larger parts"
        )
    if part_bytes is None and length > largest:
        # As few parts, but alike: the first goes out sooner and the last is not the one all wait for.
        part_bytes = max(limits.min_part_bytes, _round_up(-(-length // -(-length // largest)), limits))
    size = max(part_bytes or largest, needed)
    return Plan(size, largest, 0, limits, first_part)


def part_room(memory_bytes: int, uploaders: int) -> int:
    """Bytes of the largest part of which `uploaders` + 1 buffers stay within BUFFER_SHARE of memory."""
    return int(memory_bytes * BUFFER_SHARE) // (uploaders + 1)


def largest_file(
    *, memory_bytes: int, uploaders: int, part_bytes: int | None = None, limits: Limits | None = None
) -> int:
    """Bytes of the largest file that a function of `memory_bytes` can plan. Raises PlanError for a part size that S3
    does not take."""
    limits = limits or Limits()
    return _largest_part(memory_bytes, uploaders, part_bytes, limits) * limits.max_parts


def fits(
    length: int | None,
    *,
    memory_bytes: int,
    uploaders: int,
    part_bytes: int | None = None,
    limits: Limits | None = None,
) -> bool:
    """Whether `plan_parts` would take the file. An unknown length is given the benefit of the doubt: the plan's
    `bytes_of_part` raises PlanError when the file turns out too large."""
    return length is None or length <= largest_file(
        memory_bytes=memory_bytes, uploaders=uploaders, part_bytes=part_bytes, limits=limits
    )


def _largest_part(memory_bytes: int, uploaders: int, part_bytes: int | None, limits: Limits) -> int:
    if part_bytes is not None and not limits.min_part_bytes <= part_bytes <= limits.max_part_bytes:
        raise PlanError(f"a part must have {limits.min_part_bytes} to {limits.max_part_bytes} bytes, not {part_bytes}")
    room = part_room(memory_bytes, uploaders)
    fitting = min(limits.max_part_bytes, limits.max_single_put_bytes, room - room % limits.unit)
    return max(limits.min_part_bytes, fitting, part_bytes or 0)


def _plan_unknown(start: int, largest: int, bound: int, limits: Limits) -> Plan:
    """Parts of `start` bytes for as long as `bound` bytes are still reached by doubling later; of `largest` at once
    where they would not be."""
    if bound <= start * limits.max_parts or start == largest:
        return Plan(start, start, 0, limits)
    low, high = 0, limits.max_parts
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _reach(start, largest, middle, limits) >= bound else (low, middle - 1)
    return Plan(start, largest, low, limits) if low else Plan(largest, largest, 0, limits)


def _reach(start: int, largest: int, growth_parts: int, limits: Limits) -> int:
    """Bytes that max_parts parts hold when their size doubles after every `growth_parts`."""
    reached, left, size = 0, limits.max_parts, start
    while left:
        count = left if size >= largest else min(left, growth_parts)
        reached += count * min(size, largest)
        left -= count
        size *= 2
    return reached


def _round_up(value: int, limits: Limits) -> int:
    return -(-value // limits.unit) * limits.unit
