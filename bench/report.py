"""bench/RESULTS.md: the tables, with the machine, the versions and what was absent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from bench import engine, imports, small
from bench.figures import Failure, Record, Records, spread
from bench.machine import machine
from bench.paths import GIB
from bench.peers.catalogue import FLOOR, SCHEMES, SIGNED, SLUICEWAY, UNSIGNED_OBSTORE, floor, peers
from bench.tables import Missing, named_scheme, named_size, pick, table
from bench.targets import targets


def render(records: Sequence[Record], absent: Mapping[str, str], failures: Sequence[Failure]) -> str:
    """`absent`: what could not be built, by its step in build.py, and why."""
    why = Missing(absent, failures)
    sections = [
        "# Results of `make bench`",
        _how(records),
        machine(),
        targets(records, why),
        *(_transfers(records, scheme, cores, why) for cores in ("one", "two") for scheme in SCHEMES),
        _slice(records, why),
        _small(records),
        _start(records),
        _absent(absent, failures),
        _not_run(records, absent),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _how(records: Sequence[Record]) -> str:
    return (
        "One nginx is the source (sendfile) and the sink (it throws S3 uploads away); the client is a process of its "
        "own on one core, nginx on the other. Every client but `rclone copyurl`, which cannot, takes the SHA-256 of "
        "every byte, which is compared, and the bytes the sink was sent are counted. Each has its defaults: whether it "
        "also signs what it sends, for which it hashes every byte once more, stands in a column. Over plain http to "
        "another machine Sluiceway signs as well; to loopback, where nobody is on the way, and over TLS it does not. "
        f"The rows *{SIGNED}* and *{UNSIGNED_OBSTORE}* show what that is worth. CPU is user plus system time of the "
        "client. The runs of a round follow one another, peer by peer, in another order each round; figures are medians"
        f" of {_rounds(records)} rounds where no other number stands, with half the distance between the lowest and "
        "the highest in percent. *Marginal* is the largest size minus 64 MiB: the start of the interpreter, imports "
        "and the first connection are apart. A ratio is taken within each round."
    )


def _rounds(records: Iterable[Record]) -> int:
    return max((record.round for record in records if record.suite == "transfer"), default=0) + 1


def _transfers(records: Sequence[Record], scheme: str, cores: str, why: Missing) -> str:
    found = pick(records, "transfer", scheme, cores)
    if not found.sizes:
        return ""
    header = ["", "signs", *(f"{named_size(size)} {what}" for size in found.sizes for what in ("MB/s", "CPU s", "MiB"))]
    marginal = len(found.sizes) > 1
    if marginal:
        header += ["marginal CPU s/GiB", "Sluiceway ÷ it"]
    names = [peer.name for peer in [*peers(), floor()] if scheme in peer.schemes]
    rows = [_row(found, name, marginal, why.of(name, scheme, cores)) for name in names]
    where = "one core" if cores == "one" else f"two cores ({'shared with nginx' if os.cpu_count() == 2 else 'its own'})"
    mine, most = _rounds(each for each in records if each.cores == cores), _rounds(records)
    fewer = f", {mine} rounds" if mine < most else ""
    return f"## {named_scheme(scheme)}, client on {where}{fewer}\n\n" + table(header, rows)


def _row(found: Records, name: str, marginal: bool, none: str) -> list[str]:
    signs = {run.signs for size in found.sizes for run in found.of(name, size)}
    cells = [name, "–" if name == FLOOR or not signs else "yes" if True in signs else "no"]
    for size in found.sizes:
        runs = found.of(name, size)
        if not runs:
            cells += [none] * 3
            continue
        wall, cpu = spread([run.wall for run in runs]), spread([run.cpu for run in runs])
        peak = spread([run.peak_mib for run in runs])
        cells += [f"{size / 1e6 / wall.median:.0f}", cpu.show(), f"{peak.median:.0f}"]
    if marginal:
        low, high = found.sizes[0], found.sizes[-1]
        per_gib = list(found.marginal(name, low, high).values())
        ratio = found.ratio(SLUICEWAY, name, low, high)
        cells += [spread(per_gib).show() if per_gib else none, ratio.show() if ratio else none]
    return cells


def _slice(records: Sequence[Record], why: Missing) -> str:
    tables = []
    for scheme in SCHEMES:
        found = pick(records, "slice", scheme, "one")
        tried = found.peers | {each.peer for each in why.failures if each.suite == "slice"}
        rows = [_sliced(found, peer.name) for peer in peers() if peer.name in tried]
        if found.sizes:
            header = [named_scheme(scheme), *(f"{named_size(size)} MB/s" for size in found.sizes), "highest MiB"]
            tables.append(table(header, rows))
    rounds = max((record.round + 1 for record in records if record.suite == "slice"), default=0)
    text = f"## A function of 512 MB: 0.289 of a core, 512 MiB, {rounds} rounds\n\n"
    return text + "\n\n".join(tables) if tables else ""


def _sliced(found: Records, name: str) -> list[str]:
    runs = {size: found.of(name, size) for size in found.sizes}
    speeds = [
        spread([size / 1e6 / run.wall for run in each]).show(0) if each else "failed" for size, each in runs.items()
    ]
    peaks = [run.peak_mib for each in runs.values() for run in each]
    return [name, *speeds, f"{max(peaks):.0f}" if peaks else "failed"]


def _small(records: Sequence[Record]) -> str:
    rows = []
    names = [small.name_of(peer, threads) for threads in small.THREADS for peer in small.SCRIPTS]
    for scheme in SCHEMES:
        found = pick(records, small.SUITE, scheme, "one")
        for name in names:
            runs = [found.of(name, size) for size in found.sizes]
            if len(runs) == 2 and all(runs):
                count = found.sizes[1]
                each = [seconds / GIB * 1000 for seconds in found.marginal(name, *found.sizes).values()]
                cpu = spread([record.cpu for record in runs[1]])
                rows.append((named_scheme(scheme), name, f"{count}", cpu.show(), spread(each).show()))
    header = ("", "", "files", "CPU s in all", "CPU ms a file beyond the start")
    return "## Many files of 16 KiB in one process\n\n" + table(header, rows) if rows else ""


def _start(records: Sequence[Record]) -> str:
    found = pick(records, imports.SUITE, "", "one")
    rows = []
    for name in (imports.FUNCTION, imports.YARDSTICK):
        runs = found.of(name, 0)
        if runs:
            cpu, peak = spread([run.cpu for run in runs]), spread([run.peak_mib for run in runs])
            rows.append((name, cpu.show(), f"{peak.median:.1f}"))
    return "## The function's own start\n\n" + table(("", "CPU s", "MiB"), rows) if rows else ""


def _absent(absent: Mapping[str, str], failures: Sequence[Failure]) -> str:
    lines = [f"- {name}: absent: {reason}" for name, reason in absent.items()]
    lines += [f"- {_told(failure)}" for failure in failures]
    return "## Absent or failed\n\n" + (
        "\n".join(lines) if lines else "Nothing: all could be built, and no run failed."
    )


def _told(failure: Failure) -> str:
    if not failure.peer:
        return f"{failure.suite}: failed: {failure.reason}"
    where = f"{failure.suite}, {named_scheme(failure.scheme)}, {named_size(failure.size)}, round {failure.round + 1}"
    return f"{failure.peer}: failed ({where}): {failure.reason}"


def _not_run(records: Sequence[Record], absent: Mapping[str, str]) -> str:
    """What `make bench` would have measured and this run was told to leave out."""
    there = {(record.suite, record.cores) for record in records}
    parts = {
        "the client on two cores": ("transfer", "two"),
        "a function of 512 MB": ("slice", "one"),
        "many small files": (small.SUITE, "one"),
        "the function's own start": (imports.SUITE, "one"),
        "ten files at once through the engine": (engine.SUITE, "two"),
    }
    missing = [name for name, key in parts.items() if key not in there]
    ran = {record.peer for record in records}
    missing += [peer.name for peer in peers() if peer.name not in ran and peer.needs not in absent]
    return f"Not part of this run: {'; '.join(missing)}." if missing else ""
