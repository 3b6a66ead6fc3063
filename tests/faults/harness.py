"""Lands one file under one fault and tells what came of it.

Every fault is a named row: what the source does, what S3 does, and what must hold afterwards. Waiting is injected and
windows are tiny, so nothing here waits for luck.
"""

from __future__ import annotations

import os
import re
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sluiceway.aws.session import new_session
from sluiceway.errors import SluicewayError
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.landing.land import land
from sluiceway.landing.options import Options
from sluiceway.landing.tally import Tally
from sluiceway.sink.client import s3_client
from sluiceway.source.client import Client
from sluiceway.source.policy import UrlPolicy
from sluiceway.source.retry import RetryBudget
from tests.faults.certificates import Certificates
from tests.faults.source import MIB, File, Source, Step, pattern, serve
from tests.faults.store import BUCKET, Fault, Store, unfinished

PART = 5 * MIB
# Three parts: two whole ones and a rest.
BIG = File(pattern(2 * PART + 123_457))
OTHER = File(pattern(2 * PART + 99, seed=1), '"v2"')
SMALL = File(pattern(100_003))
EMPTY = File(b"")
SECRET = "planted-s3cret"
KEY = "file.bin"
PATH = f"/{KEY}?sig={SECRET}"
# The window of the rows in which something stalls, and of the others: those must pass on a busy machine too.
STALL_SECONDS = 0.3
PATIENT_SECONDS = 20.0
# A test that hangs must fail, not stop the suite: far more than any row takes.
HANG_SECONDS = 60.0
# What the retry budget allows at the very most: 5 tries of 4 readings of the file.
MAX_REQUESTS = 24
# Three part buffers, which huge pages round up to 18 MiB, what the servers hold of a body, and room. The most
# that was seen is 16 MiB. What holds a whole file shows in test_growth.py, where a file is larger than this.
MAX_GROWTH_BYTES = 24 * MIB
# Of every wait that a server asked for, the budget grants two minutes, and four tries in a row.
MAX_SLEEP_SECONDS = 4 * 120.0
# Waiting apart; the most that was seen is 2 s.
MAX_SECONDS = 15.0

STORED, SKIPPED, REJECTED, FAILED = "STORED", "SKIPPED", "REJECTED", "FAILED"


@dataclass(frozen=True)
class Row:
    """One fault. `steps` are the source's answers; `faults` makes S3's for a store. `expect` is the status, or a
    status and the type of the error; `lands` is the file that must be there afterwards (None: no object, or the one
    that stood there before). `before` acts on the store first."""

    name: str
    expect: tuple[str, str | None]
    steps: Sequence[Step] = ()
    lands: File | None = None
    faults: Callable[[Store], list[Fault]] = lambda store: []
    task: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    before: Callable[[Store, Any], None] | None = None
    check: Callable[[Ran], None] | None = None
    tls: str | None = None
    host: str = "127.0.0.1"
    allowed: bool = True
    hang_at_accept: bool = False
    stalls: bool = False
    stall_seconds: float | None = None
    max_requests: int = MAX_REQUESTS
    leaves_upload: bool = False
    s3_timeout: float = 20.0


@dataclass
class Ran:
    """What came of a row: the result, S3 as it is afterwards, and everything that was asked of either side."""

    result: FileResult
    error: SluicewayError | None
    object: bytes | None
    head: Mapping[str, Any]
    uploads: list[str]
    requests: list[Mapping[str, str]]
    paths: list[str]
    calls: list[str]
    sleeps: list[float]
    seconds: float
    growth_bytes: int

    @property
    def text(self) -> str:
        """All that a log could show of it: the result, and the error with everything it was raised from."""
        shown = "".join(traceback.format_exception(self.error)) if self.error else ""
        return f"{self.result!r}\n{shown}\n{dict(self.head.get('Metadata', {}))}"


def steady_client(row: Row, source: Source, sleeps: list[float], ca_bundle: str | None) -> Client:
    hosts = [source.host, f"localhost:{source.port}"] if row.allowed else []
    budget = RetryBudget(sleep=sleeps.append, jitter=lambda: 1.0)
    window = row.stall_seconds or (STALL_SECONDS if row.stalls else PATIENT_SECONDS)
    return Client(UrlPolicy(hosts), budget=budget, stall_seconds=window, ca_bundle=ca_bundle)


def run(row: Row, landed: Path, certificates: Certificates) -> Ran:
    """Raises AssertionError when the landing neither ends nor fails in HANG_SECONDS."""
    tls = getattr(certificates, row.tls) if row.tls else None
    steps = row.steps or (serve(BIG),)
    with Store(landed) as store, Source(steps, tls=tls, hang_at_accept=row.hang_at_accept) as source:
        s3 = s3_of(store, row.s3_timeout)
        if row.before is not None:
            row.before(store, s3)
        store.faults.extend(row.faults(store))
        store.calls.clear()
        sleeps: list[float] = []
        client = steady_client(row, source, sleeps, certificates.ca_bundle)
        task = FileTask(**{"url": source.url(PATH, row.host), "bucket": BUCKET, "key": KEY, **row.task})
        options = Options(**{"part_bytes": PART, "job_id": "job-1", **row.options})
        before = reset_peak()
        began = time.perf_counter()
        result, error = _land(task, options, client, s3)
        seconds, growth = time.perf_counter() - began, peak_bytes() - before
        calls = list(store.calls)
        client.close()
        store.faults.clear()
        head = s3.head_object(Bucket=BUCKET, Key=KEY) if store.object(KEY) is not None else {}
        ran = Ran(
            result, error, store.object(KEY), head, unfinished(s3), source.requests, source.paths, calls, sleeps,
            seconds, growth,
        )  # fmt: skip
        s3.close()
        return ran


def s3_of(store: Store, timeout_seconds: float = 20.0) -> Any:
    """The product's own client, on that store."""
    session = new_session()
    session.set_credentials("test", "test")
    session.set_config_variable("region", "us-east-1")
    os.environ["AWS_ENDPOINT_URL_S3"] = store.url
    return s3_client(session, connect_timeout_seconds=timeout_seconds, read_timeout_seconds=timeout_seconds)


def _land(task: FileTask, options: Options, client: Client, s3: Any) -> tuple[FileResult, SluicewayError | None]:
    tally = Tally()
    ended: list[tuple[FileResult, SluicewayError | None] | BaseException] = []

    def work() -> None:
        try:
            headers = {"Authorization": f"Bearer {SECRET}"}
            ended.append((land(task, options, client=client, s3=s3, headers=headers, tally=tally), None))
        except SluicewayError as error:
            ended.append((tally.on(FileResult.of_error(error)), error))
        except BaseException as error:  # raised in the test's own thread below
            ended.append(error)

    thread = threading.Thread(target=work, name="landing", daemon=True)
    thread.start()
    thread.join(HANG_SECONDS)
    assert ended, f"still at work after {HANG_SECONDS} s"
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


def reset_peak() -> int:
    """Lets Linux forget the highest resident set seen so far; returns the present one in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak_bytes() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024
