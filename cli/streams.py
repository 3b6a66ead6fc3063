"""stdout and stderr that whoever reads them may close, and that a full disk may not take.

Knows that a job is not to fail because nobody listens: a write never raises, and what it could not write is told at the
end. Refuses to know what is written.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO


class Descriptor(io.FileIO):
    """A file descriptor that is kept open. The first error of a write stays in `lost`; what comes after it goes
    nowhere."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.lost: OSError | None = None
        self.written = 0

    def write(self, data: Any, /) -> int:
        if self.lost is not None:
            return len(data)
        try:
            count = super().write(data)
        except OSError as error:
            self.lost = error
            return len(data)
        self.written += count or 0  # a pipe that does not block takes nothing at all when it is full
        return count


class Stream(io.TextIOWrapper):
    """Takes the place of sys.stdout or sys.stderr: `stream` with its descriptor, encoding and buffering."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream  # which would close the descriptor with itself
        self._descriptor = Descriptor(stream.fileno())
        super().__init__(
            io.BufferedWriter(self._descriptor),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=bool(stream.line_buffering),
        )

    @property
    def is_unused(self) -> bool:
        """Whether nothing was written. Flushes."""
        self.flush()
        return self._descriptor.written == 0 and self._descriptor.lost is None

    @property
    def lost(self) -> OSError | None:
        """Why something could not be written: None also where the reader closed its end, as `head` does. Flushes."""
        self.flush()
        error = self._descriptor.lost
        return None if isinstance(error, BrokenPipeError) else error


def take_standard_streams() -> Stream:
    """Puts a Stream in the place of sys.stdout, which is returned, and of sys.stderr; a process may have neither."""
    out = Stream(sys.stdout or open(os.devnull, "w"))  # noqa: SIM115  the Stream keeps it
    sys.stdout, sys.stderr = out, Stream(sys.stderr or open(os.devnull, "w"))  # noqa: SIM115
    return out
