"""Many small files in one process, over kept-alive connections: what a batch costs in one invocation."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from bench.build import file_of
from bench.figures import Record, save
from bench.measure import RunError, run
from bench.paths import BENCH, ROOT, TLS, VENV
from bench.peers.catalogue import BOTO3, ENV, SCHEMES, SLUICEWAY
from bench.server import Server
from bench.transfers import cores_of

FILE_BYTES = 16 * 1024
SUITE = "small"
SCRIPTS = {
    SLUICEWAY: [sys.executable, str(BENCH / "peers/small_sluiceway.py")],
    BOTO3: [str(VENV / "bin/python"), str(BENCH / "peers/small_boto3.py")],
}
# Files at a time: as ProcessFile moves them (its setting batch_threads), and one after the other.
THREADS = (8, 1)


def name_of(peer: str, threads: int) -> str:
    return f"{peer}, {threads} thread{'s' if threads > 1 else ''}"


def measure(results: Path, *, files: int, rounds: int, schemes: tuple[str, ...] = SCHEMES) -> None:
    """Appends a Record a run; its `size` is the number of files, 1 or `files`: the difference leaves out the start."""
    file_of(FILE_BYTES)
    client, server_cores = cores_of("one")
    both = [(peer, threads) for peer in SCRIPTS for threads in THREADS]
    with Server(server_cores) as server:
        for turn in range(rounds):
            for scheme in schemes:
                for count in (1, files):
                    for peer, threads in random.Random(f"{turn} {scheme} {count}").sample(both, len(both)):
                        record = _one(server, scheme, count, peer, threads, turn, client)
                        save(results, record)
                        print(
                            f"  small, round {turn + 1}, {scheme}, {count} files, {record.peer}: {record.cpu:.2f} CPU s"
                        )


def _one(server: Server, scheme: str, count: int, peer: str, threads: int, turn: int, client: set[int]) -> Record:
    origin = server.origin(scheme)
    env = {**ENV, "PYTHONPATH": str(ROOT / "lambdas")}
    if scheme == "https":
        env |= dict.fromkeys(("BENCH_CA", "AWS_CA_BUNDLE"), str(TLS / "cert.pem"))
    arguments = [f"{origin}/files/{FILE_BYTES}", origin, "bench", str(count), server.address(scheme), str(threads)]
    done = run([*SCRIPTS[peer], *arguments], cores=client, env=env)
    received = server.received(count * FILE_BYTES)
    if done.output != str(count) or received.bytes != count * FILE_BYTES:
        raise RunError(f"{peer}: {done.output} of {count} digests agree, the sink was sent {received.bytes} bytes")
    name = name_of(peer, threads)
    return Record(SUITE, scheme, "one", count, name, turn, done.cpu, done.wall, done.peak_mib, received.signed)
