"""`python -m bench.cost`: writes the tables of docs/cost.md anew from lambdas/sluiceway/cost.py.

Knows which questions the tables answer. Refuses to know prices and what a job does: the cost function does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from sluiceway.cost import Machine, job_cost
from sluiceway.transfer.plan import BUFFER_SHARE, GIB, MIB, part_room

DOC = Path(__file__).resolve().parents[1] / "docs" / "cost.md"
BEGIN, END = "<!-- python -m bench.cost writes from here -->", "<!-- to here -->"

TIB = 1024 * GIB
MANY = 100_000
SIZES = {
    "10 KB": 10_000,
    "100 KB": 100_000,
    "1 MiB": MIB,
    "10 MiB": 10 * MIB,
    "100 MiB": 100 * MIB,
    "1 GiB": GIB,
    "5 GiB": 5 * GIB,
    "50 GiB": 50 * GIB,
}
MEMORIES_MB = (256, 512, 768, 1024, 1769)
PARTS_MIB = (8, 16, 32, 64, None)
# AWS DataSync, standard mode, a GB copied (price list of us-east-1); it has no HTTP source.
DATASYNC_GB = 0.0125
# What the service that this one replaces cost in a month, as it was first built and after it was made to stream.
BUFFERED_MONTH, STREAMING_MONTH = 986.0, 16.50


def tables() -> str:
    """All that stands between the two marks."""
    chosen, price = cheapest()
    return "\n\n".join(
        [
            "## By file size, with the default settings",
            _by_size(),
            "## By memory and part size: USD a TiB of 5 GiB files",
            _by_setting(),
            f"The cheapest is {chosen.memory_mb} MB with parts {_part(chosen.part_bytes)}, USD {price:.2f}: "
            f"the default. A dash stands\nwhere the buffers would need more than {BUFFER_SHARE:.0%} of the memory.",
            "## Against others",
            _against(price),
        ]
    )


def per_tib(size: int, machine: Machine | None = None) -> float:
    """USD a TiB in files of `size` bytes, from a job of many."""
    return job_cost([(MANY, size)], machine).total / (MANY * size) * TIB


def cheapest(size: int = 5 * GIB) -> tuple[Machine, float]:
    """The setting with the lowest price a TiB, of those whose buffers fit."""
    settings = [_machine(memory, part) for memory in MEMORIES_MB for part in PARTS_MIB]
    priced = [(per_tib(size, machine), n) for n, machine in enumerate(settings) if _fits(machine)]
    price, n = min(priced)
    return settings[n], price


def _by_size() -> str:
    rows = []
    for name, size in SIZES.items():
        cost = job_cost([(MANY, size)])
        parts = [cost.s3_requests, cost.compute, cost.workflow, cost.table + cost.events_and_logs]
        rows.append([name, _usd(per_tib(size)), _usd(cost.total), *map(_usd, parts)])
    header = ["a file", "USD a TiB", "USD for 100,000", "S3 requests", "functions", "workflow", "table, logs"]
    return _table(header, rows)


def _by_setting() -> str:
    rows = []
    for memory in MEMORIES_MB:
        machines = [_machine(memory, part) for part in PARTS_MIB]
        rows.append([f"{memory} MB", *(_usd(per_tib(5 * GIB, each)) if _fits(each) else "–" for each in machines)])
    return _table(["memory", *(f"parts {_part(part and part * MIB)}" for part in PARTS_MIB)], rows)


def _against(price: float) -> str:
    datasync = DATASYNC_GB * 1024
    rows = [
        ["Sluiceway, 5 GiB files", f"{price:.2f}", "1"],
        [
            "AWS DataSync, list price (copies between stores; no HTTP source)",
            f"{datasync:.2f}",
            f"{datasync / price:.0f}",
        ],
    ]
    told = _table(["", "USD a TiB", "times"], rows)
    return (
        f"{told}\n\nThe service this one replaces cost USD {BUFFERED_MONTH:.0f} a month while it buffered and "
        f"{STREAMING_MONTH:.2f} once it streamed. For USD {STREAMING_MONTH:.2f}\nSluiceway moves "
        f"{STREAMING_MONTH / price:.0f} TiB of 5 GiB files, for USD {BUFFERED_MONTH:.0f} "
        f"{BUFFERED_MONTH / price / 1024:.1f} PiB; a month in which nothing moves costs what is idle, below."
    )


def _machine(memory_mb: int, part_mib: int | None) -> Machine:
    return Machine(memory_mb=memory_mb, part_bytes=part_mib * MIB if part_mib else None)


def _fits(machine: Machine) -> bool:
    return machine.part_bytes is None or machine.part_bytes <= part_room(machine.memory_mb * MIB, machine.uploaders)


def _part(part_bytes: int | None) -> str:
    return f"of {part_bytes // MIB} MiB" if part_bytes else "planned"


def _usd(amount: float) -> str:
    return f"{amount:.3f}" if amount < 0.1 else f"{amount:,.2f}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def written(text: str) -> str:
    """The document with its tables as they are today."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def main() -> None:
    DOC.write_text(written(DOC.read_text()))


if __name__ == "__main__":
    main()
