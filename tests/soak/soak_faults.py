"""A job of 2,000 files through the engine with a fault in every twentieth: nothing lost, nothing doubled, and the
counters equal to the report. Too long for every day: `make soak`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cli.jobs import JobsClient
from cli.watch import Watch
from local.engine import Engine
from tests.faults.source import Exchange, File, Source, Step, cut, pattern, serve

FILES = 2000
EVERY = 20
LARGEST_BYTES = 48 * 1024
HTML = b"<html>Sorry</html>"


@dataclass(frozen=True)
class Fault:
    """What the first request for a file meets, whether the next ones meet it too, and what must come of it."""

    name: str
    status: str
    step: Callable[[File], Step]
    lasting: bool = False
    entry: dict[str, Any] = field(default_factory=dict)


def status(code: int, body: bytes = b"", **headers: str) -> Callable[[File], Step]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda file: lambda exchange: exchange.reply(code, named, body)


def reset_at_once(exchange: Exchange) -> None:
    exchange.reset()


FAULTS = [
    Fault("cut at byte 0", "STORED", lambda file: cut(file, 0)),
    Fault("cut in the middle", "STORED", lambda file: cut(file, len(file.body) // 2)),
    Fault("RST in the middle", "STORED", lambda file: cut(file, len(file.body) // 2, reset=True)),
    Fault("RST at once", "STORED", lambda file: reset_at_once),
    Fault("503 once", "STORED", status(503)),
    Fault("429 with Retry-After", "STORED", status(429, Retry_After="0")),
    Fault("cut, then another version", "STORED", lambda file: cut(File(file.body, '"old"'), len(file.body) // 2)),
    Fault("404", "FAILED", status(404), lasting=True),
    Fault("403", "FAILED", status(403, HTML), lasting=True),
    Fault("a page of HTML", "REJECTED", status(200, HTML), lasting=True, entry={"size": LARGEST_BYTES}),
    Fault("another digest", "REJECTED", serve, lasting=True, entry={"sha256": "0" * 64}),
]


class Shelf:
    """The source's files by path, and how often each was asked for."""

    def __init__(self) -> None:
        self.files = {f"/{n:04}.bin": File(pattern(n * 7919 % LARGEST_BYTES, n)) for n in range(FILES)}
        paths = list(self.files)[::EVERY]
        self.faults = {path: FAULTS[n % len(FAULTS)] for n, path in enumerate(paths)}
        self.asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, exchange: Exchange) -> None:
        path = exchange.path
        with self._lock:
            self.asked[path] += 1
            first = self.asked[path] == 1
        fault, file = self.faults.get(path), self.files[path]
        step = fault.step(file) if fault is not None and (first or fault.lasting) else serve(file)
        step(exchange)

    def expected(self, path: str) -> str:
        return self.faults[path].status if path in self.faults else "STORED"

    def entry(self, path: str) -> dict[str, Any]:
        """With its size, as most lists have it, a small file shares a function with its neighbours."""
        stated = {"size": len(self.files[path].body)}
        return {**stated, **self.faults[path].entry} if path in self.faults else stated


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def source(shelf: Shelf) -> Iterator[Source]:
    with Source([shelf], keep_alive=True) as source:
        yield source


@pytest.fixture
def engine(source: Source, tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "landed", allowed_sources=[source.host]) as engine:
        yield engine


def test_a_fault_in_every_twentieth_of_two_thousand_files(
    engine: Engine, shelf: Shelf, source: Source, tmp_path: Path
) -> None:
    jobs = JobsClient.of_stack(engine.client, engine.outputs)
    files = [{"url": source.url(path), "key": path[1:], **shelf.entry(path)} for path in shelf.files]
    submitted = jobs.submit({"job_id": "soak", "source": {"type": "urls", "files": files}})
    view = None
    for seen in Watch(jobs, look_seconds=0.5).follow(submitted):
        view = seen
    assert view is not None
    assert view.state == "COMPLETED_WITH_FAILURES"

    report = list(jobs.read_report("soak"))
    by_key = {line["key"]: line for line in report}
    assert len(report) == len(by_key) == FILES
    wanted = {path[1:]: shelf.expected(path) for path in shelf.files}
    assert {key: line["status"] for key, line in by_key.items()} == wanted

    landing = tmp_path / "landed" / engine.outputs["LandingBucket"]
    landed = {str(path.relative_to(landing)): path.read_bytes() for path in landing.rglob("*") if path.is_file()}
    assert landed == {path[1:]: file.body for path, file in shelf.files.items() if shelf.expected(path) == "STORED"}
    assert all(by_key[key]["sha256"] == hashlib.sha256(body).hexdigest() for key, body in landed.items())

    summary = jobs.read_summary("soak")
    assert summary is not None
    counted = Counter(wanted.values())
    told = {name: count for name, count in summary["files"].items() if count}
    assert told == {name.lower(): count for name, count in counted.items()}
    assert summary["bytes"] == sum(len(body) for body in landed.values())
    assert jobs.s3.list_multipart_uploads(Bucket=engine.outputs["LandingBucket"]).get("Uploads", []) == []
    unfaulted = {path: count for path, count in shelf.asked.items() if path not in shelf.faults}
    print(json.dumps({"faults": len(shelf.faults), "asked twice though sound": sum(c > 1 for c in unfaulted.values())}))
