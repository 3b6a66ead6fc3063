"""Figures from runs: medians, spreads and ratios. Pure arithmetic.

A ratio is taken between runs of the same round, which ran one after the other on the same machine in the same state,
and then the median over the rounds: noise that lasts longer than a round cancels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.paths import GIB


@dataclass(frozen=True, slots=True)
class Record:
    """One run: where it stands in the matrix, CPU seconds, wall seconds and MiB, and whether the client took another
    SHA-256 of what it sent, to sign it."""

    suite: str
    scheme: str
    cores: str
    size: int
    peer: str
    round: int
    cpu: float
    wall: float
    peak_mib: float
    signs: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that came to nothing, after which the peer was left out of the rest of its suite. Where `peer` is empty the
    suite itself was."""

    suite: str
    reason: str
    scheme: str = ""
    cores: str = ""
    size: int = 0
    peer: str = ""
    round: int = 0


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some runs and how far the lowest and the highest lie apart, in percent of it."""

    median: float
    percent: float

    def show(self, digits: int = 2) -> str:
        return f"{self.median:.{digits}f} ±{self.percent / 2:.0f} %"


def spread(values: Sequence[float]) -> Spread:
    middle = median(values)
    return Spread(middle, 100 * (max(values) - min(values)) / middle if middle else 0.0)


def save(path: Path, record: Record) -> None:
    _append(path, record)


def load(path: Path) -> list[Record]:
    return [Record(**line) for line in _lines(path)]


def save_failure(path: Path, failure: Failure) -> None:
    """`path` is that of the records: what failed lies beside them."""
    _append(_failures(path), failure)


def load_failures(path: Path) -> list[Failure]:
    return [Failure(**line) for line in _lines(_failures(path))] if _failures(path).exists() else []


def forget(path: Path) -> None:
    """Ends the records of earlier runs, and what failed in them."""
    path.unlink(missing_ok=True)
    _failures(path).unlink(missing_ok=True)


def _append(path: Path, item: Record | Failure) -> None:
    with path.open("a") as file:
        file.write(json.dumps(asdict(item)) + "\n")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _failures(path: Path) -> Path:
    return path.with_suffix(".failed.jsonl")


class Records:
    """The runs of one suite, scheme and number of cores."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._by = {(record.peer, record.size, record.round): record for record in records}

    @property
    def sizes(self) -> list[int]:
        return sorted({size for _, size, _ in self._by})

    @property
    def peers(self) -> set[str]:
        return {peer for peer, _, _ in self._by}

    def has(self, peer: str, size: int) -> bool:
        return any(key[:2] == (peer, size) for key in self._by)

    def of(self, peer: str, size: int) -> list[Record]:
        return [self._by[key] for key in sorted(self._by) if key[:2] == (peer, size)]

    def marginal(self, peer: str, low: int, high: int) -> dict[int, float]:
        """For each round: CPU seconds per GiB beyond the start, from the runs of `high` and `low` bytes."""
        return {
            turn: (self._by[peer, high, turn].cpu - self._by[peer, low, turn].cpu) / (high - low) * GIB
            for name, size, turn in self._by
            if (name, size) == (peer, high) and (peer, low, turn) in self._by
        }

    def ratio(self, peer: str, other: str, low: int, high: int) -> Spread | None:
        """Marginal CPU of `peer` over that of `other`, round by round."""
        mine, theirs = self.marginal(peer, low, high), self.marginal(other, low, high)
        ratios = [mine[turn] / theirs[turn] for turn in mine if turn in theirs and theirs[turn] > 0]
        return spread(ratios) if ratios else None

    def throughput_ratio(self, peer: str, other: str, low: int, high: int) -> Spread | None:
        """Marginal bytes per second of `peer` over those of `other`, round by round."""

        def seconds(name: str, turn: int) -> float:
            return self._by[name, high, turn].wall - self._by[name, low, turn].wall

        turns = set(self.marginal(peer, low, high)) & set(self.marginal(other, low, high))
        ratios = [seconds(other, turn) / seconds(peer, turn) for turn in sorted(turns)]
        return spread(ratios) if ratios else None
