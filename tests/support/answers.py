"""How many segments of a file its source is sending at once, as it sees it itself (tests/support/ranges.py)."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from tests.support.ranges import MIB, Sending

PIECE = MIB // 16
# Between two pieces of an answer there is less, at the paces of tests.
SILENCE_SECONDS = 1.0


@dataclass
class Answers:
    """To who asks for a file of `size` bytes in segments of `segment_bytes`. `most` were being sent at once; one that
    is asked for its last piece has been sent. What comes before the second segment begins may still be the question
    what the source can do, and is left out. `last` is when each answer, by its first byte and the client's port, sent
    its last piece so far."""

    size: int
    segment_bytes: int
    most: int = 0
    last: dict[tuple[int, int], float] = field(default_factory=dict[tuple[int, int], float])
    _sending: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on_send(self, sending: Sending) -> None:
        answer = sending.start, sending.port
        with self._lock:
            if not (sending.start or self.last):
                return
            self.last[answer] = time.monotonic()
            self._sending.add(answer)
            self.most = max(self.most, len(self._sending))
            if sending.offset + PIECE >= min(sending.start + self.segment_bytes, self.size):
                self._sending.discard(answer)

    def now(self) -> int:
        """How many are being sent, those that were given up not among them."""
        return sum(time.monotonic() - at < SILENCE_SECONDS for at in list(self.last.values()))

    def clear(self) -> None:
        with self._lock:
            self.last.clear()
            self._sending.clear()
            self.most = 0
