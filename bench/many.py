"""Many small files as one job through the embedded engine: `python -m bench.many --files 10000 --bytes 4096`.

Starts a source on loopback and the engine, runs the job, compares every file, and prints what the engine counted:
invocations by its Lambda, state transitions by the histories of the executions. Beside them stands what the cost
function (lambdas/sluiceway/cost.py) expects. Refuses to compute a count itself.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.measure import RunError
from cli.jobs import JobsClient
from cli.watch import Watch
from local.engine import Engine
from sluiceway.cost import job_cost


def body_of(path: str, size: int) -> bytes:
    """The file at `path`: bytes that no other path has."""
    return hashlib.shake_128(path.encode()).digest(size)


@contextmanager
def small_files(size: int) -> Iterator[str]:
    """Serves a file of `size` bytes at every path; yields HOST:PORT."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet, or the client's delayed acknowledgement waits in between

        def do_GET(self) -> None:
            body = body_of(self.path, size)
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """One line a file would be the loudest part of the run."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def transitions(events: Counter[str]) -> int:
    """State transitions as Step Functions counts them: a state entered is one, a task tried again is another."""
    entered = sum(count for name, count in events.items() if name.endswith("StateEntered"))
    tried = sum(events[name] for name in ("TaskScheduled", "LambdaFunctionScheduled"))
    return entered + max(0, tried - events["TaskStateEntered"])


def run(files: int, size: int) -> list[str]:
    """The lines to print. Raises RunError when a file is not what its source holds."""
    with tempfile.TemporaryDirectory(prefix="sluiceway-many-") as folder, small_files(size) as host:
        paths = [f"/{n}.bin" for n in range(files)]
        listed = [{"url": f"http://{host}{path}", "size": size} for path in paths]
        with Engine(Path(folder), allowed_sources=[host]) as engine:
            from local.interpreter import history_events  # moto reads its environment on import

            jobs = JobsClient.of_stack(engine.client, engine.outputs)
            began = time.perf_counter()
            submitted = jobs.submit({"job_id": "many", "source": {"type": "urls", "files": listed}})
            (*_, view) = Watch(jobs).follow(submitted)
            seconds = time.perf_counter() - began
            sums = {line["key"]: line["sha256"] for line in jobs.read_report("many")}
            invocations = Counter(_short(report.function) for report in engine.reports)
            seen = transitions(history_events())
    wrong = [path for path in paths if sums.get(path[1:]) != hashlib.sha256(body_of(path, size)).hexdigest()]
    if view.state != "COMPLETED" or wrong or view.counts.stored != files:
        raise RunError(f"the job is {view.state}, {view.error}; {len(wrong)} files are not as their source")
    cost = job_cost([(files, size)])
    return [
        f"files        {files:,} of {size:,} bytes, every SHA-256 as its source's",
        f"seconds      {seconds:.1f}",
        f"invocations  {sum(invocations.values()):,} ({cost.invocations:,} by the cost function)",
        *(f"             {count:6,} {name}" for name, count in sorted(invocations.items())),
        f"transitions  {seen:,} ({cost.transitions:,} by the cost function)",
        f"USD          {cost.total:.4f} by the cost function, {cost.s3_requests:.4f} of it S3's requests",
    ]


def _short(function: str) -> str:
    """`sluiceway-FunctionsProcessFileFC0E0010-N266WG3VBUNC` -> `ProcessFile`."""
    match = re.search(r"Functions(\w+?)[0-9A-F]{8}-", function)
    return match[1] if match else function


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.many", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="how many (default: 10,000)")
    parser.add_argument("--bytes", type=int, default=4096, dest="size", help="of each (default: 4,096)")
    options = parser.parse_args()
    print("\n".join(run(options.files, options.size)))


if __name__ == "__main__":
    main()
