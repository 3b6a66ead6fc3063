"""Part buffers and the threads that empty them: where backpressure comes from.

There are `uploaders` + 1 buffers. The reader fills one while the uploaders send the others; when none is free the
reader waits, and that wait is measured. A buffer is an anonymous memory map: pages cost memory only once touched. A
file of so many parts touches every buffer, however quick its sink: the same file takes the same memory each time.
"""

from __future__ import annotations

import contextlib
import mmap
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType

# Below this a map costs more to make and to end than the file's bytes cost to move.
MAPPED_BYTES = 256 * 1024


class Buffer:
    """A reusable block of memory; `view(size)` is its beginning as a writable memoryview."""

    def __init__(self) -> None:
        self._map: mmap.mmap | None = None
        self._view = memoryview(b"")

    def view(self, size: int) -> memoryview:
        if len(self._view) < size:
            self.close()
            if size >= MAPPED_BYTES:
                # Private, which is not mmap's default: Linux gives huge pages to shared maps only where told to.
                self._map = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
                if hasattr(mmap, "MADV_HUGEPAGE"):
                    # A hint: kernels built without huge pages refuse it, and the buffer is as good in small ones.
                    with contextlib.suppress(OSError):
                        self._map.madvise(mmap.MADV_HUGEPAGE)
            self._view = memoryview(self._map if self._map is not None else bytearray(size))
        return self._view[:size]

    def close(self) -> None:
        self._view.release()
        if self._map is not None:
            # A failed send may still hold a slice in its traceback; the map goes when that does.
            with contextlib.suppress(BufferError):
                self._map.close()
        self._map = None
        self._view = memoryview(b"")


class Uploaders:
    """Runs `send(number, body)` for each submitted part in up to `count` threads, started as they are needed.

    A context manager: on a clean exit it waits for every part; on an error it stops taking parts, waits for those in
    flight and lets the error through. The first error of a send is raised to the reader at its next call.
    """

    def __init__(self, send: Callable[[int, memoryview], None], count: int) -> None:
        self._send = send
        self._count = count
        self._free: SimpleQueue[Buffer] = SimpleQueue()
        self._filled: SimpleQueue[tuple[int, Buffer, int] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._buffers: list[Buffer] = []
        self._errors: deque[BaseException] = deque()
        self.wait_seconds = 0.0
        # How long the parts in flight may take: the one at hand waits for a thread, and none was slower so far.
        self.drain_seconds = 0.0

    def take_buffer(self) -> Buffer:
        """A free buffer; waits for one when all are in flight. Raises the error of a failed send."""
        self._raise_error()
        if len(self._buffers) <= self._count:
            self._buffers.append(Buffer())
            return self._buffers[-1]
        began = time.perf_counter()
        buffer = self._free.get()
        self.wait_seconds += time.perf_counter() - began
        self._raise_error()
        return buffer

    def submit(self, number: int, buffer: Buffer, size: int) -> None:
        """Hands over part `number`, the first `size` bytes of `buffer`, which the caller must not touch again."""
        if len(self._threads) < self._count:
            thread = threading.Thread(target=self._run, name=f"uploader-{len(self._threads)}", daemon=True)
            # Started first: one that cannot be is no thread to wait for at the end.
            thread.start()
            self._threads.append(thread)
        self._filled.put((number, buffer, size))

    def drain(self) -> None:
        """Waits until every submitted part is sent. Raises the error of a failed send."""
        began = time.perf_counter()
        self._stop()
        self.wait_seconds += time.perf_counter() - began
        self._raise_error()

    def __enter__(self) -> Uploaders:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is not None and not self._errors:
            self._errors.append(error)
        self._stop()
        for buffer in self._buffers:
            buffer.close()

    def _run(self) -> None:
        while (item := self._filled.get()) is not None:
            number, buffer, size = item
            # After an error the rest is only handed back, so that a waiting reader wakes and sees it.
            if not self._errors:
                began = time.perf_counter()
                try:
                    self._send(number, buffer.view(size))
                    self.drain_seconds = max(self.drain_seconds, 2 * (time.perf_counter() - began))
                except BaseException as error:  # carried to the reader's thread, which raises it
                    self._errors.append(error)
            self._free.put(buffer)

    def _stop(self) -> None:
        for _ in self._threads:
            self._filled.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _raise_error(self) -> None:
        if self._errors:
            raise self._errors[0]
