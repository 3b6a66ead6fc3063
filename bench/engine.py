"""Ten large files at once through the state machine, and one alone: each function's peak memory."""

from __future__ import annotations

import json
import subprocess
import sys
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
    """Appends a Record a file; its `size` is how many files the job had, its peak that of the file's own function."""
    _, sha256 = file_of(FILE_BYTES)
    _, cores = cores_of("two")
    with Server(cores) as server:
        for count in COUNTS:
            with tempfile.TemporaryDirectory(dir=BUILT) as folder:
                for turn, line in enumerate(_run(server, Path(folder), count)):
                    if line["sha256"] != sha256:
                        raise RunError(f"landed {line['sha256']}, the SHA-256 is {sha256}")
                    peak = line["peak_memory_bytes"] / MIB
                    save(results, Record(SUITE, "http", "two", count, "process_file", turn, 0, line["seconds"], peak))
                    print(f"  engine, {count} file(s) of 512 MiB: {peak:.1f} MiB", flush=True)


def _run(server: Server, folder: Path, count: int) -> list[dict[str, Any]]:
    """The lines of the report of a job of `count` files."""
    url = f"{server.origin('http')}/files/{FILE_BYTES}"
    job = folder / "files.jsonl"
    job.write_text("".join(json.dumps({"url": url, "key": f"{n}.bin"}) + "\n" for n in range(count)))
    command = [str(Path(sys.executable).parent / "sluiceway"), "run", str(job), "--landed", str(folder / "landed")]
    done = subprocess.run(
        [*command, "--allow-source", server.address("http"), "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RunError(f"sluiceway run: exit code {done.returncode}: {done.stderr[-500:]}")
    report = next((folder / "landed").glob("*/jobs/*/report.jsonl"))
    return [json.loads(line) for line in report.read_text().splitlines()]
