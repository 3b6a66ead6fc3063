"""A job of 2,000 files through the engine with a fault of the source in every twentieth, one of S3 in every
twenty-fifth object, and every process that moves files killed once in its midst: nothing lost, nothing doubled, and
the counters equal to the report. Too long for every day: `make soak`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import local.engine
from cli.jobs import JobsClient
from cli.watch import Watch
from local.calls import Call, call_of
from local.engine import Engine
from local.http import BadRequestError, Request, Response
from local.s3_api import S3
from tests.faults.kills import Killer
from tests.faults.source import Exchange, File, Source, Step, cut, pattern, serve
from tests.faults.store import Act, hang_up, lose_reply, refuse

FILES = 2000
EVERY = 20
EVERY_OBJECT = 25
KILL_AT = 700
MOVER = "process_file"
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


STORE_FAULTS: dict[str, Act] = {
    "SlowDown": refuse(503, "SlowDown"),
    "500": refuse(500, "InternalError"),
    "hung up": hang_up,
    "reply lost": lose_reply,
}


class MoodyS3(S3):
    """The engine's store, in which every twenty-fifth file meets a fault when it is stored for the first time. `met`
    counts them."""

    def __init__(self, landed: Path, *, met: Counter[str]) -> None:
        super().__init__(landed)
        self._met, self._seen, self._lock = met, set[str](), threading.Lock()

    def __call__(self, request: Request) -> Response:
        name = self._fault_of(request)
        if name is None:
            return super().__call__(request)
        response = STORE_FAULTS[name](lambda: super(MoodyS3, self).__call__(request))
        if response is None:
            raise BadRequestError("planted: no reply")
        return response

    def _fault_of(self, request: Request) -> str | None:
        if request.method != "PUT" or call_of(request, "s3").caller != MOVER:
            return None
        with self._lock:
            if request.path in self._seen:
                return None
            self._seen.add(request.path)
            if len(self._seen) % EVERY_OBJECT:
                return None
            name = list(STORE_FAULTS)[self._met.total() % len(STORE_FAULTS)]
            self._met[name] += 1
            return name


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
def killer() -> Killer:
    """Kills every process of the mover when so many objects are on their way."""
    stored = Counter[str]()

    def is_time(call: Call) -> bool:
        stored[call.method] += call.caller == MOVER and call.method == "PUT"
        return stored["PUT"] == KILL_AT

    killer = Killer()
    killer.at_call(is_time)
    return killer


@pytest.fixture
def met() -> Counter[str]:
    return Counter()


@pytest.fixture
def engine(
    source: Source, killer: Killer, met: Counter[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    monkeypatch.setattr(local.engine, "S3", partial(MoodyS3, met=met))
    with Engine(tmp_path / "landed", allowed_sources=[source.host], on_call=killer.on_call) as engine:
        killer.engine = engine
        yield engine


def test_a_fault_in_every_twentieth_of_two_thousand_files(
    engine: Engine, shelf: Shelf, source: Source, killer: Killer, met: Counter[str], tmp_path: Path
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
    assert set(killer.killed) == {MOVER}
    # One that was between two invocations broke none.
    assert 1 <= [each.outcome for each in engine.reports].count("Runtime.ExitError") <= len(killer.killed)
    assert (met.keys(), met.total()) == (STORE_FAULTS.keys(), len(landed) // EVERY_OBJECT)
    unfaulted = {path: count for path, count in shelf.asked.items() if path not in shelf.faults}
    print(
        json.dumps(
            {
                "faults": len(shelf.faults),
                "of S3": met,
                "killed": len(killer.killed),
                "asked twice though sound": sum(c > 1 for c in unfaulted.values()),
            }
        )
    )
