"""`python -m bench`: builds what it needs, runs everything in turn, and writes bench/RESULTS.md.

`--quick` takes under three minutes, prints its tables and writes no file. Runs are kept as they are made, so that
`--continue` adds to a matrix that was interrupted and `--report` only writes the tables again.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import build, engine, imports, small
from bench.figures import Failure, forget, load, load_failures, save_failure
from bench.measure import RunError
from bench.paths import BUILT, MIB, RESULTS
from bench.peers.catalogue import BOTO3, EIGHT, FLOOR, NODE_PEER, OBSTORE, SCHEMES, SLUICEWAY, Peer, floor, peers
from bench.report import render
from bench.slice import Slice
from bench.transfers import Matrix, measure

SUITES = ("start", "small", "one", "slice", "two", "engine")
QUICK = {SLUICEWAY, EIGHT, BOTO3, OBSTORE, NODE_PEER, FLOOR}
SLICED = {SLUICEWAY, BOTO3, OBSTORE, NODE_PEER}


def main() -> None:
    # As Ctrl-C: nginx and the control groups go with whoever asked for them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = _options()
    results = BUILT / ("quick.jsonl" if options.quick else "results.jsonl")
    absent = build.build()
    for name, reason in absent.items():
        print(f"absent: {name}: {reason}")
    present = [peer for peer in [*peers(), floor()] if peer.needs not in absent]
    if not (options.report or options.go_on):
        forget(results)
    if not options.report:
        _quick(results, present) if options.quick else _full(results, present, options)
    text = render(load(results), absent, load_failures(results))
    print(text)
    if not options.quick:
        RESULTS.write_text(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 3 minutes: fewer peers, smaller files, 3 rounds")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the full matrix (default: 5)")
    parser.add_argument("--suites", default=",".join(SUITES), help="which of these (default: all)")
    parser.add_argument("--sizes", default="64,1024,4096", help="MiB of the files (default: 64,1024,4096)")
    parser.add_argument("--peers", default="", help="only those whose name contains one of these words, by comma")
    parser.add_argument("--report", action="store_true", help="write the tables of the last runs again")
    parser.add_argument("--continue", action="store_true", dest="go_on", help="add to the last runs")
    return parser.parse_args()


def _quick(results: Path, present: list[Peer]) -> None:
    chosen = [peer for peer in present if peer.name in QUICK]
    with _kept(results, imports.SUITE):
        imports.measure(results, rounds=3)
    with _kept(results, small.SUITE):
        small.measure(results, files=500, rounds=3, schemes=("http",))
    measure(Matrix("transfer", SCHEMES, (64 * MIB, 512 * MIB), "one", 3), chosen, results)


def _full(results: Path, present: list[Peer], options: argparse.Namespace) -> None:
    suites, rounds = options.suites.split(","), options.rounds
    if "start" in suites:
        with _kept(results, imports.SUITE):
            imports.measure(results, rounds=2 * rounds)
    if "small" in suites:
        with _kept(results, small.SUITE):
            small.measure(results, files=1000, rounds=rounds)
    sizes = [int(size) * MIB for size in options.sizes.split(",")]
    present = [peer for peer in present if any(word in peer.name for word in options.peers.split(","))]
    if "one" in suites:
        measure(Matrix("transfer", SCHEMES, sizes, "one", rounds), present, results)
    if "slice" in suites:
        with _kept(results, "slice"), Slice() as part:
            if part.why_not:
                raise RunError(part.why_not)
            chosen = [peer for peer in present if peer.name in SLICED]
            measure(Matrix("slice", SCHEMES, (64 * MIB, 512 * MIB), "one", rounds), chosen, results, enter=part.enter)
    if "two" in suites:
        measure(Matrix("transfer", SCHEMES, sizes, "two", rounds), present, results)
    if "engine" in suites:
        with _kept(results, engine.SUITE):
            engine.measure(results)


@contextmanager
def _kept(results: Path, suite: str) -> Iterator[None]:
    """Where this suite fails, why is kept for the report, and the others still run."""
    try:
        yield
    except RunError as error:
        print(f"  {suite}: {error}", file=sys.stderr)
        save_failure(results, Failure(suite, str(error)))


main()
