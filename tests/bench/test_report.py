"""The report hides nothing: who was absent and why, what was not run, and a target that was missed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import build, engine, imports, small
from bench.figures import Failure, Record, forget, load, load_failures, save, save_failure
from bench.peers.catalogue import BOTO3, EIGHT, FLOOR, NODE_PEER, OBSTORE, SIGNED, SLUICEWAY, UNSIGNED_OBSTORE
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
    peer: str,
    size: int,
    cpu: float,
    turn: int = 0,
    *,
    peak_mib: float = 70.0,
    scheme: str = "http",
    signs: bool = False,
) -> Record:
    return Record("transfer", scheme, "one", size, peer, turn, cpu, 2 * cpu, peak_mib, signs)


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
    assert "## Absent or failed\n\n- node: absent: no npm\n" in text
    assert "nginx 1.2.3" in text and "rclone 1" not in text.partition("## ")[0]


def test_nobody_absent_is_said_too() -> None:
    assert "Nothing: all could be built, and no run failed." in render(both(SLUICEWAY, 1.0), {}, [])


def test_a_figure_that_is_not_there_says_whether_it_could_not_be_failed_or_was_not_asked_for() -> None:
    # Node was not there at all; boto3 failed after the small size; nobody asked for smart_open.
    records = [*both(SLUICEWAY, 1.0), *both(OBSTORE, 2.0), transfer(BOTO3, LOW, 0.5)]
    failure = Failure("transfer", "exit code 1: out of luck", "http", "one", HIGH, BOTO3, 0)
    text = render(records, {"node": "no npm"}, [failure])

    assert row(text, f"plain http: marginal CPU ÷ {NODE_PEER}") == [
        f"plain http: marginal CPU ÷ {NODE_PEER}", "≤ 0.30", "absent",
    ]  # fmt: skip
    assert row(text, f"plain http: marginal CPU ÷ {BOTO3}")[-1] == "failed"
    assert row(text, "plain http: marginal throughput ÷ read and hash alone")[-1] == "not run"
    table = "## plain http, client on one core"
    assert row(text, NODE_PEER, table)[2:] == ["absent"] * 8
    assert row(text, BOTO3, table)[5:] == ["failed"] * 5
    assert row(text, "smart_open", table)[2:] == ["not run"] * 8
    told = (
        "- node: absent: no npm\n- boto3 upload_fileobj: failed (transfer, plain http, 1088 MiB, round 1): exit code 1"
    )
    assert told in text


def test_who_signs_what_it_sends_stands_beside_its_figures() -> None:
    records = [
        *both(SLUICEWAY, 1.0),
        *both(SIGNED, 1.5, signs=True),
        *both(OBSTORE, 2.0, signs=True),
        *both(FLOOR, 0.5),
    ]
    text = render(records, {}, [])
    table = "## plain http, client on one core"
    signs = {name: row(text, f"{name} |", table)[1] for name in (SLUICEWAY, SIGNED, OBSTORE, UNSIGNED_OBSTORE, FLOOR)}
    assert signs == {SLUICEWAY: "no", SIGNED: "yes", OBSTORE: "yes", UNSIGNED_OBSTORE: "–", FLOOR: "–"}
    assert row(text, f"plain http, payload signed: marginal CPU ÷ {OBSTORE}")[1:] == ["none", "0.75 ±0 %"]
    # With TLS Sluiceway signs no payload, so there is no such row to fill.
    assert f"| {SIGNED}" not in render([transfer(SLUICEWAY, LOW, 1.0, scheme="https")], {}, [])


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
        *(
            one(small.SUITE, "http", "one", size, small.name_of(peer, threads), threads * size / 1000, 60)
            for size in (1, 1001)
            for peer, threads in ((SLUICEWAY, 1), (SLUICEWAY, 8), (BOTO3, 1), (BOTO3, 8))
        ),
        one(imports.SUITE, "", "one", 0, imports.FUNCTION, 0.6, 66),
        one(imports.SUITE, "", "one", 0, imports.YARDSTICK, 0.4, 60),
        *(one(engine.SUITE, "http", "two", count, "process_file", 0, peak) for count, peak in ((1, 100), (10, 120))),
    ]
    text = render(records, {}, [])

    for threads in (8, 1):
        figure = f"plain http: CPU of 1001 files of 16 KiB, {threads} at a time ÷ boto3"
        assert row(text, figure)[1:] == ["≤ 0.50", "1.00 ±0 %"]
    section = "## Many files of 16 KiB in one process"
    assert [each.count("8 threads") for each in text[text.index(section) :].splitlines()].count(1) == 2
    assert row(text, "imports of process_file ÷")[1:] == ["≤ 1.25", "1.50 ±0 %"]
    assert row(text, "resident after import")[1:] == ["≤ 65 MiB", "66.0 MiB"]
    assert row(text, "ten files of 512 MiB at once")[1:] == ["≤ +10 %", "+20.0 % (100 → 120 MiB)"]


def test_the_slice_shows_rounds_spread_and_who_failed_in_it() -> None:
    def sliced(peer: str, size: int, turn: int, wall: float, peak: float) -> Record:
        return Record("slice", "http", "one", size, peer, turn, 1.0, wall, peak)

    records = [sliced(SLUICEWAY, LOW, turn, wall, peak) for turn, wall, peak in ((0, 1, 80), (1, 2, 90), (2, 4, 85))]
    text = render(records, {}, [Failure("slice", "killed", "http", "one", LOW, NODE_PEER)])
    section = "## A function of 512 MB: 0.289 of a core, 512 MiB, 3 rounds"
    assert row(text, "plain http", section) == ["plain http", "64 MiB MB/s", "highest MiB"]
    assert row(text, SLUICEWAY, section)[1:] == ["34 ±75 %", "90"]
    assert row(text, NODE_PEER, section)[1:] == ["failed", "failed"]


def test_a_suite_that_failed_is_told_with_its_reason() -> None:
    text = render([], {}, [Failure("slice", "control groups cannot be set up here")])
    assert "- slice: failed: control groups cannot be set up here\n" in text


def test_what_failed_is_kept_beside_the_results_and_ends_with_them(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    record, failure = transfer(BOTO3, LOW, 0.5), Failure("transfer", "exit code 1", "http", "one", LOW, OBSTORE, 2)
    save(results, record)
    assert load_failures(results) == []
    save_failure(results, failure)
    assert (load(results), load_failures(results)) == ([record], [failure])
    forget(results)
    assert load_failures(results) == [] and not results.exists()


def test_what_was_left_out_is_listed() -> None:
    text = render(both(SLUICEWAY, 1.0), {"rclone": "no apt-get", "venv": "no pip"}, [])
    (left_out,) = [line for line in text.splitlines() if line.startswith("Not part of this run: ")]
    assert left_out.removeprefix("Not part of this run: ").rstrip(".").split("; ") == [
        "the client on two cores",
        "a function of 512 MB",
        "many small files",
        "the function's own start",
        "ten files at once through the engine",
        EIGHT,
        SIGNED,
        "aioboto3",
        NODE_PEER,
    ]
