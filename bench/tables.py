"""How figures are shown: tables in Markdown, names for what was measured, and a word where a figure is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.figures import Failure, Record, Records, Spread
from bench.paths import GIB, MIB
from bench.peers.catalogue import peers


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a figure is not there."""

    absent: Mapping[str, str]
    failures: Sequence[Failure]

    def of(self, name: str, scheme: str, cores: str) -> str:
        """In a word, for the figures of a peer in one table."""
        if any(peer.name == name and peer.needs in self.absent for peer in peers()):
            return "absent"
        place = ("transfer", scheme, cores, name)
        failed = any((each.suite, each.scheme, each.cores, each.peer) == place for each in self.failures)
        return "failed" if failed else "not run"


def pick(records: Sequence[Record], suite: str, scheme: str, cores: str) -> Records:
    return Records(each for each in records if (each.suite, each.scheme, each.cores) == (suite, scheme, cores))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def named_scheme(scheme: str) -> str:
    return "TLS on both sides" if scheme == "https" else "plain http"


def named_size(size: int) -> str:
    return f"{size // GIB} GiB" if size % GIB == 0 else f"{size // MIB} MiB"


def shown(ratio: Spread | None, none: str) -> str:
    return ratio.show() if ratio else none
