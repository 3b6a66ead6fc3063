"""A unit of work: the lines of manifest.jsonl that one invocation of ProcessFile takes.

Knows how lines are packed into byte ranges and a range is cut into lines again. Refuses to know where either file
is stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field

from sluiceway.jobs.files import FileTask


@dataclass(frozen=True, slots=True)
class Unit:
    """`count` files, standing in `length` bytes from `offset` of the object `manifest_key` in the jobs bucket.
    The Map's item, so the names are an interface."""

    manifest_key: str
    offset: int
    length: int
    count: int

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()


@dataclass(slots=True)
class UnitPacker:
    """Feed it the length in bytes of every line, in order; it answers with a unit whenever one is full."""

    manifest_key: str
    batch_files: int = 1
    _offset: int = field(default=0, init=False)
    _length: int = field(default=0, init=False)
    _count: int = field(default=0, init=False)

    def feed(self, line_bytes: int) -> Unit | None:
        self._length += line_bytes
        self._count += 1
        return self.finish() if self._count >= self.batch_files else None

    def finish(self) -> Unit | None:
        """The unit begun and not yet full, if there is one."""
        if not self._count:
            return None
        unit = Unit(self.manifest_key, self._offset, self._length, self._count)
        self._offset, self._length, self._count = self._offset + self._length, 0, 0
        return unit


def read_tasks(lines: Iterable[bytes]) -> Iterator[FileTask]:
    """The tasks of manifest lines, as a file object or `bytes.splitlines` yields them."""
    return (FileTask.from_line(line) for line in lines)
