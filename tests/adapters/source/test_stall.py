"""When a body is too slow to go on with: by the bytes that arrive, whatever the size of a read."""

from __future__ import annotations

import math
import socket
import threading
import time

import pytest

from sluiceway.errors import OutOfTimeError, SourceError
from sluiceway.source import stall
from sluiceway.source.client import Client
from sluiceway.source.policy import UrlPolicy
from sluiceway.source.retry import RetryBudget
from sluiceway.source.stall import LEAST_BYTES, Stalls, arrived_bytes
from tests.faults.certificates import Certificates
from tests.faults.source import MIB, File, Source, Step, pattern, serve
from tests.faults.steps import slows

WINDOW_SECONDS = 0.5
# Past the reads that grow, into one of the largest.
QUICK = 9 * MIB
BODY = pattern(QUICK + MIB)
# No validator: a second request would begin the file anew.
FILE = File(BODY, None)


def at(share: float) -> Step:
    """Quick, so that reads become large, and then at `share` of the least rate."""
    return slows(FILE, QUICK, int(share * LEAST_BYTES / WINDOW_SECONDS))


def read(source: Source) -> bytes:
    """As a transfer does: into as much memory as the source may fill at once."""
    budget = RetryBudget(sleep=lambda seconds: None)
    client = Client(UrlPolicy([source.host]), budget=budget, stall_seconds=WINDOW_SECONDS)
    try:
        with client.open(source.url()) as download:
            filled, body = 0, memoryview(bytearray(len(BODY)))
            while got := download.readinto(body[filled:]):
                filled += got
            return bytes(body[:filled])
    finally:
        client.close()


def test_a_quick_source_that_slows_down_may_go_on_above_the_least_rate() -> None:
    with Source([at(5)]) as source:
        assert read(source) == BODY
        assert len(source.requests) == 1


def test_below_the_least_rate_it_is_a_stall_and_the_text_tells_what_arrived() -> None:
    with Source([at(0.5)]) as source:
        with pytest.raises(SourceError, match=r"stalled: \d+ bytes arrived in \d\.\d s") as caught:
            read(source)
        assert len(source.requests) == 1
    words = str(caught.value).split("stalled: ")[1].split()
    assert 0 < int(words[0]) < LEAST_BYTES
    assert WINDOW_SECONDS <= float(words[4]) < WINDOW_SECONDS + 2


def test_where_arriving_bytes_cannot_be_counted_reads_stay_small_and_the_rate_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stall, "arrived_bytes", lambda sock: None)
    with Source([at(5)]) as source:
        assert read(source) == BODY
        assert len(source.requests) == 1
    with Source([at(0.5)]) as source, pytest.raises(SourceError, match=f"stalled: fewer than {LEAST_BYTES} bytes"):
        read(source)


@pytest.mark.parametrize(
    ("quick_seconds", "sizes"),
    [(math.inf, [64, 128, 256, 512, 1024, 2048, 4096, 4096]), (0.0, [64] * 8)],
    ids=["quick", "slow"],
)
def test_reads_grow_while_the_source_is_quick(
    monkeypatch: pytest.MonkeyPatch, quick_seconds: float, sizes: list[int]
) -> None:
    monkeypatch.setattr(stall, "QUICK_SECONDS", quick_seconds)
    body = File(pattern(13 * MIB))
    with Source([serve(body)]) as source:
        client = Client(UrlPolicy([source.host]))
        view = memoryview(bytearray(len(body.body)))
        with client.open(source.url()) as download:
            assert [download.readinto(view) // 1024 for _ in sizes] == sizes
        client.close()


def test_bytes_are_counted_as_they_arrive_read_or_not() -> None:
    ours, theirs = _connection()
    with ours, theirs:
        before = arrived_bytes(ours)
        theirs.sendall(b"x" * 12_345)
        ours.recv(12_345, socket.MSG_WAITALL | socket.MSG_PEEK)
        assert before == 0
        assert arrived_bytes(ours) == 12_345
    assert arrived_bytes(ours) is None


def test_the_time_between_two_reads_is_not_the_sources() -> None:
    ours, theirs = _connection()
    with ours, theirs:
        watched = Stalls()
        watch = watched.watch(ours, 0.2, LEAST_BYTES)
        watch.reading()
        watch.moved()
        assert not threading.Event().wait(0.6)
        assert not watch.stalled
        watch.end()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_reader_whose_time_is_up_has_every_byte_that_arrived(certificates: Certificates, scheme: str) -> None:
    tls = certificates.good if scheme == "https" else None
    # 200 KB/s into the last MiB of a large read, which would take five seconds.
    with Source([slows(FILE, QUICK, 200_000)], tls=tls) as source:
        client = Client(UrlPolicy([source.host]), stall_seconds=WINDOW_SECONDS, ca_bundle=certificates.ca_bundle)
        body, filled, ends = memoryview(bytearray(len(BODY))), 0, math.inf
        with (
            client.open(source.url(), seconds_left=lambda: ends - time.monotonic()) as download,
            pytest.raises(OutOfTimeError, match="the time of the invocation is up"),
        ):
            while got := download.readinto(body[filled:]):
                filled += got
                if filled >= QUICK - 4 * MIB and ends == math.inf:
                    ends = time.monotonic() + 2
        client.close()
    # What had come within the last seconds is not lost with the read that it came in.
    assert QUICK < filled < len(BODY)
    assert bytes(body[:filled]) == BODY[:filled]


def _connection() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]
