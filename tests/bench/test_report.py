"""The report hides nothing: who was absent and why, what was not run, and a target that was missed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import build, engine, imports, small
from bench.figures import Record
from bench.peers.catalogue import BOTO3, EIGHT, FLOOR, NODE_PEER, OBSTORE, SLUICEWAY
from bench.report import render

MIB, GIB = 1024**2, 1024**3
LOW, HIGH = 64 * MIB, 64 * MIB + GIB


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of the tools only nginx is on the path: the report asks each for its version, and would fetch nginx."""
    nginx = tmp_path / "nginx"
    nginx.write_text("#!/bin/sh\necho nginx version: nginx/1.2.3 >&2\n")
    nginx.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build, "TOOLS", tmp_path / "none")
    yield


def transfer(
    peer: str, size: int, cpu: float, turn: int = 0, *, peak_mib: float = 70.0, scheme: str = "http"
) -> Record:
    return Record("transfer", scheme, "one", size, peer, turn, cpu, 2 * cpu, peak_mib)


def both(peer: str, per_gib: float, **more: object) -> list[Record]:
    """Two rounds of two sizes, the larger by a GiB: `per_gib` CPU seconds of it are marginal."""
    return [
        transfer(peer, size, cpu, turn, **more)  # type: ignore[arg-type]
        for turn in (0, 1)
        for size, cpu in ((LOW, 0.5), (HIGH, 0.5 + per_gib))
    ]


def row(text: str, start: str, section: str = "## ") -> list[str]:
    """The cells of the first line of the section's table that begins with `start`."""
    lines = text[text.index(section) :].splitlines()
    (found, *_) = [line for line in lines if line.startswith(f"| {start}")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_an_absent_peer_is_named_with_its_reason() -> None:
    text = render(both(SLUICEWAY, 1.0), {"node": "no npm"}, [])
    assert "## Absent\n\n- node: absent: no npm\n" in text
    assert "nginx 1.2.3" in text and "rclone" not in text.partition("## ")[0]


def test_nobody_absent_is_said_too() -> None:
    assert "Nothing: every peer was there." in render(both(SLUICEWAY, 1.0), {}, [])


def test_a_ratio_that_could_not_be_taken_is_absent_from_no_table() -> None:
    # Node was not there at all; boto3 ran the small size alone.
    records = [*both(SLUICEWAY, 1.0), *both(OBSTORE, 2.0), transfer(BOTO3, LOW, 0.5)]
    text = render(records, {"node": "no npm"}, [])

    assert row(text, f"plain http: marginal CPU ÷ {NODE_PEER}") == [
        f"plain http: marginal CPU ÷ {NODE_PEER}", "≤ 0.30", "absent",
    ]  # fmt: skip
    assert row(text, f"plain http: marginal CPU ÷ {BOTO3}")[-1] == "absent"
    assert row(text, "plain http: marginal throughput ÷ read and hash alone")[-1] == "absent"
    table = "## plain http, client on one core"
    assert row(text, NODE_PEER, table)[1:] == ["absent"] * 8
    assert row(text, BOTO3, table)[4:] == ["not run"] * 5


def test_a_target_that_was_missed_stands_with_its_figure_beside_it() -> None:
    records = [
        *both(SLUICEWAY, 1.5, peak_mib=210.0),
        *both(EIGHT, 1.0, peak_mib=88.0),
        *both(OBSTORE, 2.0),
        *both(FLOOR, 0.75),
    ]
    text = render(records, {}, [])

    def measured(figure: str) -> list[str]:
        return row(text, f"plain http: {figure}")[1:]

    assert measured("marginal CPU ÷ obstore") == ["≤ 0.72", "0.75 ±0 %"]
    assert measured("marginal throughput ÷ read and hash alone") == ["≥ 0.70", "0.50 ±0 %"]
    assert measured("peak memory of the command, 3 × 8 MiB parts") == ["≤ 79 MiB", "88.0 MiB"]
    assert measured("peak memory of the command, 3 planned parts of 51 MiB or less") == ["≤ 208 MiB", "210.0 MiB"]


def test_the_other_suites_miss_theirs_as_plainly() -> None:
    def one(suite: str, scheme: str, cores: str, size: int, peer: str, cpu: float, peak: float) -> Record:
        return Record(suite, scheme, cores, size, peer, 0, cpu, 1.0, peak)

    records = [
        *(one(small.SUITE, "http", "one", size, SLUICEWAY, size / 1000, 60) for size in (1, 1001)),
        *(one(small.SUITE, "http", "one", size, BOTO3, size / 1000, 60) for size in (1, 1001)),
        one(imports.SUITE, "", "one", 0, imports.FUNCTION, 0.6, 66),
        one(imports.SUITE, "", "one", 0, imports.YARDSTICK, 0.4, 60),
        *(one(engine.SUITE, "http", "two", count, "process_file", 0, peak) for count, peak in ((1, 100), (10, 120))),
    ]
    text = render(records, {}, [])

    assert row(text, "plain http: CPU of 1001 files of 16 KiB ÷ boto3")[1:] == ["≤ 0.50", "1.00 ±0 %"]
    assert row(text, "imports of process_file ÷")[1:] == ["≤ 1.25", "1.50 ±0 %"]
    assert row(text, "resident after import")[1:] == ["≤ 65 MiB", "66.0 MiB"]
    assert row(text, "ten files of 512 MiB at once")[1:] == ["≤ +10 %", "+20.0 % (100 → 120 MiB)"]


def test_what_was_left_out_is_listed_and_notes_come_last() -> None:
    text = render(both(SLUICEWAY, 1.0), {}, ["A note of this run."])
    (left_out,) = [line for line in text.splitlines() if line.startswith("Not part of this run: ")]
    assert left_out.removeprefix("Not part of this run: ").rstrip(".").split(", ") == [
        "the client on two cores",
        "a function of 512 MB",
        "many small files",
        "the function's own start",
        "ten files at once through the engine",
    ]
    assert text.endswith("A note of this run.\n")
