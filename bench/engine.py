"""Ten large files at once through the state machine, and one alone: each function's peak memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.build import file_of
from bench.figures import Record, save
from bench.measure import RunError
from bench.paths import BUILT, MIB
from bench.server import Server
from bench.transfers import cores_of

SUITE = "engine"
FILE_BYTES = 512 * MIB
COUNTS = (1, 10)


def measure(results: Path) -> None:
    """Appends a Record a file; its `size` is how many files the job had, its peak that of the file's own function.
    Raises RunError where a file is not as its source, or where the source never sent all of them at the same moment."""
    _, sha256 = file_of(FILE_BYTES)
    _, cores = cores_of("two")
    for count in COUNTS:
        with Server(cores) as server, tempfile.TemporaryDirectory(dir=BUILT) as folder:
            lines = _run(server, Path(folder), count)
            if server.at_once() < count:
                raise RunError(f"of {count} files {server.at_once()} moved at the same moment")
            for turn, line in enumerate(lines):
                if line["sha256"] != sha256:
                    raise RunError(f"landed {line['sha256']}, the SHA-256 is {sha256}")
                peak = line["peak_memory_bytes"] / MIB
                save(results, Record(SUITE, "http", "two", count, "process_file", turn, 0, line["seconds"], peak))
                print(f"  engine, {count} file(s) of 512 MiB: {peak:.1f} MiB", flush=True)


def _run(server: Server, folder: Path, count: int) -> list[dict[str, Any]]:
    """The lines of the report of a job of `count` files, in an engine with a process for each."""
    # Here, not above: whoever measures other processes must stay small itself (measure.py).
    from cli.jobs import JobsClient
    from cli.watch import Watch
    from local.engine import Engine

    url = f"{server.origin('http')}/files/{FILE_BYTES}"
    files = [{"url": f"{url}?{n}", "key": f"{n}.bin"} for n in range(count)]
    with Engine(folder, allowed_sources=[server.address("http")], max_processes=count + 1) as engine:
        jobs = JobsClient.of_stack(engine.client, engine.outputs)
        submitted = jobs.submit({"job_id": "bench", "source": {"type": "urls", "files": files}})
        (*_, view) = Watch(jobs).follow(submitted)
        lines = list(jobs.read_report("bench"))
    if view.state != "COMPLETED":
        raise RunError(f"the job of {count} files is {view.state}: {view.error}")
    return lines
