"""bench/RESULTS.md: the tables, with the machine, the versions and what was absent."""

from __future__ import annotations

import json
import os
import platform
import ssl
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import engine, imports, small
from bench.build import nginx, node, rclone
from bench.figures import Record, Records, Spread, spread
from bench.paths import AIOBOTO3_VENV, GIB, MIB, NODE, VENV
from bench.peers.catalogue import BOTO3, EIGHT, FLOOR, NODE_PEER, OBSTORE, SLUICEWAY, peers

# The peer, and what Sluiceway's CPU may be of it: over http and with TLS on both sides.
TARGETS = {OBSTORE: (0.72, 0.95), BOTO3: (0.45, 0.77), NODE_PEER: (0.30, 0.45)}


def render(records: Sequence[Record], absent: Mapping[str, str], notes: Sequence[str]) -> str:
    sections = [
        "# Results of `make bench`",
        _how(records),
        _machine(),
        _targets(records),
        *(_transfers(records, scheme, cores) for cores in ("one", "two") for scheme in ("http", "https")),
        _slice(records),
        _small(records),
        _start(records),
        _absent(absent),
        _not_run(records),
        *notes,
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _how(records: Sequence[Record]) -> str:
    return (
        "One nginx is the source (sendfile) and the sink (it throws S3 uploads away); the client is a process of its "
        "own on one core, nginx on the other. Every client takes the SHA-256 of every byte, which is compared, and the "
        "bytes the sink was sent are counted. CPU is user plus system time of the client. The runs of a round follow "
        "one another, peer by peer, in another order each round; figures are medians of "
        f"{_rounds(records)} rounds where no other number stands, with half the distance between the lowest and the "
        "highest in percent. *Marginal* is the largest size minus 64 MiB: the start of the interpreter, imports and "
        "the first connection are apart. A ratio is taken within each round."
    )


def _rounds(records: Iterable[Record]) -> int:
    return max((record.round for record in records if record.suite == "transfer"), default=0) + 1


def _machine() -> str:
    cpu = next((line.split(":")[1].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")), "?")
    flags = next((line for line in _read("/proc/cpuinfo") if line.startswith("flags")), "")
    sha = "with" if "sha_ni" in flags else "without"
    versions = {
        "Python": platform.python_version(),
        "OpenSSL": ssl.OPENSSL_VERSION.split()[1],
        "nginx": _said(str(nginx()), "-v").split("/")[-1],
        "Node": _said(str(node()), "--version"),
        **_packages(VENV, ("boto3", "obstore", "smart_open", "urllib3")),
        **_packages(AIOBOTO3_VENV, ("aioboto3",)),
        **_node_packages(),
        "rclone": _said(rclone(), "version").rpartition(" ")[2],
    }
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {cpu} ({sha} SHA instructions), "
        f"Linux {platform.release()}, {platform.machine()}. "
        + ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        + f". Load average at the end: {os.getloadavg()[1]:.1f}."
    )


def _targets(records: Sequence[Record]) -> str:
    rows = []
    for column, scheme in enumerate(("http", "https")):
        found = _pick(records, "transfer", scheme, "one")
        if len(found.sizes) < 2:
            continue
        low, high = found.sizes[0], found.sizes[-1]
        for peer, limits in TARGETS.items():
            ratio = found.ratio(SLUICEWAY, peer, low, high)
            rows.append((f"{_both(scheme)}: marginal CPU ÷ {peer}", f"≤ {limits[column]:.2f}", _or_absent(ratio)))
        if scheme == "http":
            ratio = found.throughput_ratio(SLUICEWAY, FLOOR, low, high)
            rows.append(("plain http: marginal throughput ÷ read and hash alone", "≥ 0.70", _or_absent(ratio)))
        rows += _memory_rows(found, scheme, low, high)
    rows += _small_rows(records) + _start_rows(records) + _engine_rows(records)
    return "## Targets\n\n" + _table(("figure", "target", "measured"), rows) if rows else ""


def _memory_rows(found: Records, scheme: str, low: int, high: int) -> list[tuple[str, str, str]]:
    rows = []
    if found.has(EIGHT, low) and found.has(EIGHT, high):
        peaks = [spread([record.peak_mib for record in found.of(EIGHT, size)]).median for size in (low, high)]
        rows.append(
            (
                f"{_both(scheme)}: memory growth from {_size(low)} to {_size(high)}, 8 MiB parts",
                "≤ 2 MiB",
                f"{peaks[1] - peaks[0]:+.1f} MiB ({peaks[0]:.1f} → {peaks[1]:.1f})",
            )
        )
        rows.append(
            (f"{_both(scheme)}: peak memory of the command, 3 × 8 MiB parts", "≤ 79 MiB", f"{max(peaks):.1f} MiB")
        )
    if found.has(SLUICEWAY, high):
        peak = max(record.peak_mib for record in found.of(SLUICEWAY, high))
        rows.append(
            (
                f"{_both(scheme)}: peak memory of the command, 3 planned parts of 51 MiB or less",
                "≤ 208 MiB",
                f"{peak:.1f} MiB",
            )
        )
    return rows


def _small_rows(records: Sequence[Record]) -> list[tuple[str, str, str]]:
    rows = []
    for scheme in ("http", "https"):
        found = _pick(records, small.SUITE, scheme, "one")
        if len(found.sizes) == 2:
            ratio = found.ratio(SLUICEWAY, BOTO3, *found.sizes)
            rows.append(
                (f"{_both(scheme)}: CPU of {found.sizes[1]} files of 16 KiB ÷ boto3", "≤ 0.50", _or_absent(ratio))
            )
    return rows


def _start_rows(records: Sequence[Record]) -> list[tuple[str, str, str]]:
    found = _pick(records, imports.SUITE, "", "one")
    mine, theirs = found.of(imports.FUNCTION, 0), found.of(imports.YARDSTICK, 0)
    if not mine:
        return []
    ratio = spread([one.cpu / other.cpu for one, other in zip(mine, theirs, strict=True)])
    peak = spread([record.peak_mib for record in mine])
    return [
        (f"imports of process_file ÷ ({imports.YARDSTICK})", "≤ 1.25", ratio.show()),
        ("resident after import", "≤ 65 MiB", f"{peak.median:.1f} MiB"),
    ]


def _transfers(records: Sequence[Record], scheme: str, cores: str) -> str:
    found = _pick(records, "transfer", scheme, cores)
    if not found.sizes:
        return ""
    header = ["", *(f"{_size(size)} {what}" for size in found.sizes for what in ("MB/s", "CPU s", "MiB"))]
    marginal = len(found.sizes) > 1
    if marginal:
        header += ["marginal CPU s/GiB", "Sluiceway ÷ it"]
    rows = [_row(found, name, marginal) for name in [*(peer.name for peer in peers()), FLOOR]]
    where = "one core" if cores == "one" else f"two cores ({'shared with nginx' if os.cpu_count() == 2 else 'its own'})"
    mine, most = _rounds(each for each in records if each.cores == cores), _rounds(records)
    fewer = f", {mine} rounds" if mine < most else ""
    return f"## {_both(scheme)}, client on {where}{fewer}\n\n" + _table(header, rows)


def _row(found: Records, name: str, marginal: bool) -> list[str]:
    cells = [name]
    none = "not run" if any(found.has(name, size) for size in found.sizes) else "absent"
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


def _slice(records: Sequence[Record]) -> str:
    tables = []
    for scheme in ("http", "https"):
        found = _pick(records, "slice", scheme, "one")
        rows = [
            [peer.name, *(f"{size / 1e6 / spread([run.wall for run in found.of(peer.name, size)]).median:.0f}"
              for size in found.sizes), f"{max(run.peak_mib for run in found.of(peer.name, found.sizes[-1])):.0f}"]
            for peer in peers()
            if found.sizes and found.has(peer.name, found.sizes[-1])
        ]  # fmt: skip
        if rows:
            header = [_both(scheme), *(f"{_size(size)} MB/s" for size in found.sizes), "MiB"]
            tables.append(_table(header, rows))
    text = "## A function of 512 MB: 0.289 of a core, 512 MiB\n\n"
    return text + "\n\n".join(tables) if tables else ""


def _small(records: Sequence[Record]) -> str:
    rows = []
    for scheme in ("http", "https"):
        found = _pick(records, small.SUITE, scheme, "one")
        for peer in small.SCRIPTS:
            runs = [found.of(peer, size) for size in found.sizes]
            if len(runs) == 2:
                count = found.sizes[1]
                each = [(many.cpu - one.cpu) / (count - 1) * 1000 for one, many in zip(*runs, strict=True)]
                cpu = spread([record.cpu for record in runs[1]])
                rows.append((_both(scheme), peer, cpu.show(), spread(each).show()))
    header = ("", "", "CPU s in all", "CPU ms a file beyond the start")
    return "## 1,000 files of 16 KiB in one process\n\n" + _table(header, rows) if rows else ""


def _start(records: Sequence[Record]) -> str:
    found = _pick(records, imports.SUITE, "", "one")
    rows = []
    for name in (imports.FUNCTION, imports.YARDSTICK):
        runs = found.of(name, 0)
        if runs:
            cpu, peak = spread([run.cpu for run in runs]), spread([run.peak_mib for run in runs])
            rows.append((name, cpu.show(), f"{peak.median:.1f}"))
    return "## The function's own start\n\n" + _table(("", "CPU s", "MiB"), rows) if rows else ""


def _engine_rows(records: Sequence[Record]) -> list[tuple[str, str, str]]:
    peaks = {n: [r.peak_mib for r in records if (r.suite, r.size) == (engine.SUITE, n)] for n in engine.COUNTS}
    alone, together = (peaks[count] for count in engine.COUNTS)
    if not (alone and together):
        return []
    growth = 100 * (max(together) / max(alone) - 1)
    figure = f"{growth:+.1f} % ({max(alone):.0f} → {max(together):.0f} MiB)"
    return [("ten files of 512 MiB at once through the engine: highest peak against one alone", "≤ +10 %", figure)]


def _absent(absent: Mapping[str, str]) -> str:
    lines = [f"- {name}: absent: {reason}" for name, reason in absent.items()]
    return "## Absent\n\n" + ("\n".join(lines) if lines else "Nothing: every peer was there.")


def _not_run(records: Sequence[Record]) -> str:
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
    return f"Not part of this run: {', '.join(missing)}." if missing else ""


def _pick(records: Sequence[Record], suite: str, scheme: str, cores: str) -> Records:
    return Records(each for each in records if (each.suite, each.scheme, each.cores) == (suite, scheme, cores))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _both(scheme: str) -> str:
    return "TLS on both sides" if scheme == "https" else "plain http"


def _size(size: int) -> str:
    return f"{size // GIB} GiB" if size % GIB == 0 else f"{size // MIB} MiB"


def _or_absent(ratio: Spread | None) -> str:
    return ratio.show() if ratio else "absent"


def _read(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return next(iter((done.stdout or done.stderr).strip().splitlines()), "")


def _packages(venv: Path, names: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in names:
        folder = next(venv.glob(f"lib/python*/site-packages/{name}-*.dist-info"), None)
        if folder is not None:
            found[name] = folder.name.removesuffix(".dist-info").split("-")[1]
    return found


def _node_packages() -> dict[str, str]:
    found = {}
    for name in ("undici", "@aws-sdk/lib-storage"):
        file = NODE / "node_modules" / name / "package.json"
        if file.exists():
            found[name] = str(json.loads(file.read_text())["version"])
    return found
