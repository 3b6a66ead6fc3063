"""Runs the peers in turn over the matrix of schemes, sizes and cores, and checks what each of them did.

Knows that a run counts only when the peer printed the right SHA-256 and the sink was sent every byte.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.build import file_of
from bench.figures import Failure, Record, save, save_failure
from bench.held import held
from bench.measure import RunError, run
from bench.paths import MIB
from bench.peers.catalogue import Errand, Peer
from bench.server import Server


@dataclass(frozen=True, slots=True)
class Matrix:
    """What to run: `cores` is `one` (client and nginx each on a core of their own) or `two` (both on both)."""

    suite: str
    schemes: Sequence[str]
    sizes: Sequence[int]
    cores: str
    rounds: int


def cores_of(kind: str) -> tuple[set[int], set[int]]:
    """Of the client and of nginx. On a machine with two cores, `two` for the client means that nginx shares them."""
    available = sorted(os.sched_getaffinity(0))
    if kind == "one":
        return {available[0]}, {available[-1]}
    return set(available[:2]), set(available[2:] or available)


def measure(matrix: Matrix, peers: Sequence[Peer], results: Path, *, enter: Callable[[], None] | None = None) -> None:
    """Appends a Record a run to `results`. A peer that fails is left out from then on, and why is kept beside them."""
    client, server_cores = cores_of(matrix.cores)
    failed = set[str]()
    files = {size: file_of(size)[1] for size in matrix.sizes}
    with Server(server_cores) as server, held(file_of(size)[0] for size in matrix.sizes):
        for turn in range(matrix.rounds):
            for scheme in matrix.schemes:
                for size in matrix.sizes:
                    # Another order each round: who ran before decides how fresh the memory is and how warm the cache.
                    for peer in random.Random(f"{turn} {scheme} {size}").sample(peers, len(peers)):
                        if peer.name in failed or scheme not in peer.schemes:
                            continue
                        try:
                            record = _one(matrix, server, scheme, size, files[size], peer, turn, client, enter)
                        except RunError as error:
                            failed.add(peer.name)
                            place = (scheme, matrix.cores, size, peer.name, turn)
                            save_failure(results, Failure(matrix.suite, str(error), *place))
                            print(f"  {peer.name}: {error}", file=sys.stderr)
                            continue
                        save(results, record)
                        _tell(record)


def _one(
    matrix: Matrix,
    server: Server,
    scheme: str,
    size: int,
    sha256: str,
    peer: Peer,
    turn: int,
    client: set[int],
    enter: Callable[[], None] | None,
) -> Record:
    origin = server.origin(scheme)
    errand = Errand(f"{origin}/files/{size}", origin, server.address(scheme))
    done = run(peer.command(errand), cores=client, env=peer.env(errand), enter=enter)
    received = server.received(size if peer.stores else 0)
    if peer.hashes and peer.digest(done.output) != sha256:
        raise RunError(f"printed {done.output[:200]!r}, the SHA-256 is {sha256}")
    if peer.stores and received.bytes != size:
        raise RunError(f"the sink was sent {received.bytes} of {size} bytes")
    place = (matrix.suite, scheme, matrix.cores, size, peer.name, turn)
    return Record(*place, done.cpu, done.wall, done.peak_mib, received.signed)


def _tell(record: Record) -> None:
    print(
        f"  {record.suite} {record.cores} core(s), round {record.round + 1}, {record.scheme}, "
        f"{record.size // MIB} MiB, {record.peer}: {record.cpu:.2f} CPU s, {record.wall:.2f} s, "
        f"{record.peak_mib:.0f} MiB",
        flush=True,
    )
