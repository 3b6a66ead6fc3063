"""Part buffers and uploader threads: bounded, honest about errors, gone afterwards."""

from __future__ import annotations

import mmap
import subprocess
import sys
import threading

import pytest

from sluiceway.transfer.buffers import MAPPED_BYTES, Buffer, Uploaders

PATIENCE = 10.0
MIB = 1024**2

# Resident bytes that a buffer of argv[1] bytes takes when argv[2] bytes of it are written.
GROWTH = """
import mmap, sys
from sluiceway.transfer.buffers import Buffer

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * mmap.PAGESIZE

size, written = map(int, sys.argv[1:])
piece, buffer = bytes(1024), Buffer()
resident()
before = resident()
view = buffer.view(size)
for at in range(0, written, len(piece)):
    view[at : at + len(piece)] = piece
print(resident() - before)
"""


class Sink:
    """Remembers what it was sent. While `gate` is closed a send blocks; `fails` maps part numbers to errors."""

    def __init__(self, *, open_gate: bool = True, fails: dict[int, BaseException] | None = None) -> None:
        self.sent: dict[int, bytes] = {}
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.fails = fails or {}
        if open_gate:
            self.gate.set()

    def send(self, number: int, body: memoryview) -> None:
        self.entered.release()
        assert self.gate.wait(PATIENCE)
        if number in self.fails:
            raise self.fails[number]
        self.sent[number] = bytes(body)


def uploader_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("uploader")]


def hand_over(uploads: Uploaders, number: int, body: bytes) -> None:
    buffer = uploads.take_buffer()
    buffer.view(len(body))[:] = body
    uploads.submit(number, buffer, len(body))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_part_arrives_with_its_own_bytes(count: int) -> None:
    sink = Sink()
    parts = {number: bytes([number]) * (1000 + number) for number in range(1, 40)}
    with Uploaders(sink.send, count) as uploads:
        for number, body in parts.items():
            hand_over(uploads, number, body)
        uploads.drain()
        assert sink.sent == parts
    assert uploader_threads() == []


def test_no_thread_starts_before_a_part_is_there_and_no_more_than_parts() -> None:
    sink = Sink()
    with Uploaders(sink.send, 4) as uploads:
        uploads.take_buffer()
        assert uploader_threads() == []
        hand_over(uploads, 1, b"x")
        assert uploader_threads() == ["uploader-0"]
        uploads.drain()


def test_a_file_touches_every_buffer_however_quick_its_sink() -> None:
    """Else the same file would take less memory one day and more the next, as the threads are scheduled."""
    with Uploaders(Sink().send, 2) as uploads:
        free: list[Buffer] = []
        for number in range(1, 4):
            buffer = uploads.take_buffer()
            assert buffer not in free
            uploads.submit(number, buffer, 0)
            free.append(buffer)
            # The part is sent and its buffer free again before the next is asked for.
            uploads.drain()


@pytest.mark.parametrize("count", [1, 3])
def test_the_reader_waits_when_every_buffer_is_in_flight_and_the_wait_is_measured(count: int) -> None:
    sink = Sink(open_gate=False)
    with Uploaders(sink.send, count) as uploads:
        for number in range(1, count + 2):
            hand_over(uploads, number, b"body")
        assert uploads.wait_seconds == 0.0
        taken = threading.Event()

        def reader() -> None:
            uploads.take_buffer()
            taken.set()

        waiting = threading.Thread(target=reader)
        waiting.start()
        for _ in range(count):
            assert sink.entered.acquire(timeout=PATIENCE)
        # All uploaders stand in their sends, so no buffer can have come free.
        assert not taken.wait(0.05)
        sink.gate.set()
        assert taken.wait(PATIENCE)
        waiting.join()
        uploads.drain()
    assert uploads.wait_seconds > 0.04


def test_a_buffer_is_used_again_and_never_while_its_part_is_in_flight() -> None:
    sink = Sink()
    seen: set[int] = set()
    with Uploaders(sink.send, 2) as uploads:
        for number in range(1, 101):
            buffer = uploads.take_buffer()
            seen.add(id(buffer))
            buffer.view(10)[:] = b"0123456789"
            uploads.submit(number, buffer, 10)
        uploads.drain()
    assert len(seen) <= 3
    assert len(sink.sent) == 100


@pytest.mark.parametrize("error", [OSError("the sink broke"), KeyboardInterrupt("stop")])
def test_the_error_of_a_send_reaches_a_reader_who_waits_for_a_buffer(error: BaseException) -> None:
    sink = Sink(open_gate=False, fails={1: error})
    with pytest.raises(type(error), match=str(error)), Uploaders(sink.send, 1) as uploads:
        hand_over(uploads, 1, b"a")
        hand_over(uploads, 2, b"b")
        threading.Timer(0.05, sink.gate.set).start()
        uploads.take_buffer()
    assert uploader_threads() == []
    assert 2 not in sink.sent


def test_the_error_of_the_last_send_reaches_whoever_drains() -> None:
    sink = Sink(fails={2: OSError("the last part broke")})
    with pytest.raises(OSError, match="the last part broke"), Uploaders(sink.send, 2) as uploads:
        hand_over(uploads, 1, b"a")
        hand_over(uploads, 2, b"b")
        uploads.drain()
    assert uploader_threads() == []


def test_the_first_error_is_the_one_raised() -> None:
    sink = Sink(fails={1: OSError("first"), 2: OSError("second")})
    with pytest.raises(OSError, match="first"), Uploaders(sink.send, 1) as uploads:
        hand_over(uploads, 1, b"a")
        hand_over(uploads, 2, b"b")
        uploads.drain()


def test_a_thread_that_cannot_start_is_the_error_and_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="can't start new thread"), Uploaders(Sink().send, 2) as uploads:
        hand_over(uploads, 1, b"a")


def test_an_error_of_the_reader_passes_through_and_parts_not_yet_begun_are_dropped() -> None:
    sink = Sink(open_gate=False)
    uploads = Uploaders(sink.send, 1)
    with pytest.raises(ValueError, match="the reader broke"), uploads:
        hand_over(uploads, 1, b"a")
        hand_over(uploads, 2, b"b")
        assert sink.entered.acquire(timeout=PATIENCE)
        threading.Timer(0.05, sink.gate.set).start()
        raise ValueError("the reader broke")
    assert sink.sent == {1: b"a"}
    assert uploader_threads() == []


def test_a_buffer_grows_when_a_later_part_is_larger_and_keeps_its_memory_when_it_is_smaller() -> None:
    buffer = Buffer()
    buffer.view(10)[:] = b"0123456789"
    assert bytes(buffer.view(4)) == b"0123"
    larger = buffer.view(1_000_000)
    assert len(larger) == 1_000_000
    larger.release()
    buffer.close()
    buffer.close()


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="huge pages by advice are Linux's")
def test_a_kernel_that_refuses_huge_pages_gives_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmap, "MADV_HUGEPAGE", 9999)  # advice that no kernel knows: EINVAL
    buffer = Buffer()
    view = buffer.view(MAPPED_BYTES)
    view[-4:] = b"full"
    assert bytes(view[-4:]) == b"full"
    view.release()
    buffer.close()


def test_a_buffer_whose_bytes_are_still_held_elsewhere_closes_without_an_error() -> None:
    buffer = Buffer()
    held = buffer.view(10)
    buffer.close()
    held[:] = b"still here"
    assert bytes(held) == b"still here"
    held.release()


@pytest.mark.parametrize(
    ("size", "written", "low", "high"),
    [
        # A huge page is 2 MiB.
        (51 * MIB, 1024, 1, 3 * MIB),
        (51 * MIB, 51 * MIB, 50 * MIB, 54 * MIB),
    ],
    ids=["a kilobyte of it", "all of it"],
)
def test_a_buffer_takes_the_memory_of_what_is_written_not_of_its_size(
    size: int, written: int, low: int, high: int
) -> None:
    """In a process of its own: here something else may grow or shrink meanwhile."""
    command = [sys.executable, "-c", GROWTH, str(size), str(written)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert low <= int(done.stdout) <= high
