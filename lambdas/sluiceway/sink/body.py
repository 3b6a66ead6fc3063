"""A part's bytes in the form botocore takes without copying them.

botocore refuses a bare memoryview, and http.client reads a file-like body in blocks of 16 KiB. This object hands out
slices of up to 1 MiB whatever size is asked for, so that a send costs few calls and no copy, and it rewinds, so that
botocore can send it again in its own retries. awscrt, which signs a body for botocore, has it fill a buffer of its own
instead.
"""

from __future__ import annotations

SLICE_BYTES = 1024**2


class PartBody:
    """A read-only, seekable file over `view`."""

    def __init__(self, view: memoryview, *, slice_bytes: int = SLICE_BYTES) -> None:
        self._view = view
        self._slice_bytes = slice_bytes
        self._at = 0

    def __len__(self) -> int:
        return len(self._view)

    def read(self, size: int = -1) -> memoryview:
        """The next slice; its length does not depend on `size`. Empty at the end."""
        piece = self._view[self._at : self._at + self._slice_bytes]
        self._at += len(piece)
        return piece

    def readinto(self, into: memoryview) -> int:
        """Fills as much of `into` as there is left; returns how much that was."""
        piece = self._view[self._at : self._at + len(into)]
        into[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._at, len(self._view))[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at
