"""The targets, each with what was measured beside it."""

from __future__ import annotations

from collections.abc import Sequence

from bench import engine, imports, small
from bench.figures import Record, Records, spread
from bench.peers.catalogue import BOTO3, EIGHT, FLOOR, NODE_PEER, OBSTORE, SCHEMES, SIGNED, SLUICEWAY
from bench.tables import Missing, named_scheme, named_size, pick, shown, table

# The peer, and what Sluiceway's CPU may be of it: over http and with TLS on both sides.
TARGETS = {OBSTORE: (0.72, 0.95), BOTO3: (0.45, 0.77), NODE_PEER: (0.30, 0.45)}


def targets(records: Sequence[Record], why: Missing) -> str:
    rows = []
    for column, scheme in enumerate(SCHEMES):
        found = pick(records, "transfer", scheme, "one")
        if len(found.sizes) < 2:
            continue
        low, high = found.sizes[0], found.sizes[-1]
        for peer, limits in TARGETS.items():
            ratio, none = found.ratio(SLUICEWAY, peer, low, high), why.of(peer, scheme, "one")
            rows.append(
                (f"{named_scheme(scheme)}: marginal CPU ÷ {peer}", f"≤ {limits[column]:.2f}", shown(ratio, none))
            )
        if scheme == "http":
            rows += _signed_rows(found, low, high, why)
            ratio, none = found.throughput_ratio(SLUICEWAY, FLOOR, low, high), why.of(FLOOR, scheme, "one")
            rows.append(("plain http: marginal throughput ÷ read and hash alone", "≥ 0.70", shown(ratio, none)))
        rows += _memory_rows(found, scheme, low, high)
    rows += _small_rows(records) + _start_rows(records) + _engine_rows(records)
    return "## Targets\n\n" + table(("figure", "target", "measured"), rows) if rows else ""


def _signed_rows(found: Records, low: int, high: int, why: Missing) -> list[tuple[str, str, str]]:
    """What users see whose S3 is another machine without TLS: every client signs there."""
    rows = []
    for peer in TARGETS:
        none = why.of(peer if found.has(SIGNED, high) else SIGNED, "http", "one")
        ratio = found.ratio(SIGNED, peer, low, high)
        rows.append((f"plain http, payload signed: marginal CPU ÷ {peer}", "none", shown(ratio, none)))
    return rows


def _memory_rows(found: Records, scheme: str, low: int, high: int) -> list[tuple[str, str, str]]:
    rows = []
    if found.has(EIGHT, low) and found.has(EIGHT, high):
        peaks = [spread([record.peak_mib for record in found.of(EIGHT, size)]).median for size in (low, high)]
        rows.append(
            (
                f"{named_scheme(scheme)}: memory growth from {named_size(low)} to {named_size(high)}, 8 MiB parts",
                "≤ 2 MiB",
                f"{peaks[1] - peaks[0]:+.1f} MiB ({peaks[0]:.1f} → {peaks[1]:.1f})",
            )
        )
        rows.append(
            (
                f"{named_scheme(scheme)}: peak memory of the command, 3 × 8 MiB parts",
                "≤ 79 MiB",
                f"{max(peaks):.1f} MiB",
            )
        )
    if found.has(SLUICEWAY, high):
        peak = max(record.peak_mib for record in found.of(SLUICEWAY, high))
        rows.append(
            (
                f"{named_scheme(scheme)}: peak memory of the command, 3 planned parts of 51 MiB or less",
                "≤ 208 MiB",
                f"{peak:.1f} MiB",
            )
        )
    return rows


def _small_rows(records: Sequence[Record]) -> list[tuple[str, str, str]]:
    rows = []
    for scheme in SCHEMES:
        found = pick(records, small.SUITE, scheme, "one")
        for threads in small.THREADS if len(found.sizes) == 2 else ():
            ratio = found.ratio(small.name_of(SLUICEWAY, threads), small.name_of(BOTO3, threads), *found.sizes)
            figure = f"{named_scheme(scheme)}: CPU of {found.sizes[1]} files of 16 KiB, {threads} at a time ÷ boto3"
            rows.append((figure, "≤ 0.50", shown(ratio, "not run")))
    return rows


def _start_rows(records: Sequence[Record]) -> list[tuple[str, str, str]]:
    found = pick(records, imports.SUITE, "", "one")
    mine = {record.round: record for record in found.of(imports.FUNCTION, 0)}
    rows = []
    for yardstick, limit in ((imports.YARDSTICK, "≤ 1.25"), (imports.WITH_AWSCRT, "none")):
        theirs = {record.round: record for record in found.of(yardstick, 0)}
        if both := mine.keys() & theirs.keys():
            ratio = spread([mine[turn].cpu / theirs[turn].cpu for turn in both])
            rows.append((f"imports of process_file ÷ ({yardstick})", limit, ratio.show()))
    if rows:
        peak = spread([record.peak_mib for record in mine.values()])
        rows.append(("resident after import", "≤ 65 MiB", f"{peak.median:.1f} MiB"))
    return rows


def _engine_rows(records: Sequence[Record]) -> list[tuple[str, str, str]]:
    peaks = {n: [r.peak_mib for r in records if (r.suite, r.size) == (engine.SUITE, n)] for n in engine.COUNTS}
    alone, together = (peaks[count] for count in engine.COUNTS)
    if not (alone and together):
        return []
    growth = 100 * (max(together) / max(alone) - 1)
    figure = f"{growth:+.1f} % ({max(alone):.0f} → {max(together):.0f} MiB)"
    return [("ten files of 512 MiB at once through the engine: highest peak against one alone", "≤ +10 %", figure)]
