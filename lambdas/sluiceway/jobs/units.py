"""A unit of work: the lines of manifest.jsonl that one invocation of ProcessFile takes.

Knows which files share a unit, how lines are packed into byte ranges and a range is cut into lines again. Refuses to
know where either file is stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from sluiceway.jobs.files import FileTask


@dataclass(frozen=True, slots=True)
class Unit:
    """`count` files, standing in `length` bytes from `offset` of the object `manifest_key` in the jobs bucket. `large`:
    one file, whose parts only ProcessFileLarge can hold. The Map's item, so the names are an interface."""

    manifest_key: str
    offset: int
    length: int
    count: int
    large: bool = False

    def to_json(self) -> bytes:
        fields = asdict(self)
        if not self.large:
            del fields["large"]
        return json.dumps(fields, separators=(",", ":")).encode()


def is_batched(size: int | None, batch_bytes: int) -> bool:
    """Whether a file of `size` bytes shares a unit: it is known to be small. One of unknown size may be anything."""
    return size is not None and size < batch_bytes


@dataclass(slots=True)
class UnitPacker:
    """Packs consecutive lines of small files. Feed it the length in bytes of every line and the size of its file; it
    answers with a unit whenever the next file would make it larger than `batch_files` or `batch_bytes`. The unit that
    is not yet full begins at `offset` and has `length` bytes and `count` files of `bytes` in all."""

    manifest_key: str
    batch_files: int
    batch_bytes: int
    offset: int = 0
    length: int = 0
    count: int = 0
    bytes: int = 0

    @property
    def begun(self) -> dict[str, int]:
        """The unit that is not yet full, as another packer is begun with."""
        return {"offset": self.offset, "length": self.length, "count": self.count, "bytes": self.bytes}

    def feed(self, line_bytes: int, size: int) -> Unit | None:
        full = None
        if self.count >= self.batch_files or self.bytes + size > self.batch_bytes:
            full = self.finish()
        self.length += line_bytes
        self.count += 1
        self.bytes += size
        return full

    def finish(self) -> Unit | None:
        """The unit begun and not yet full, if there is one."""
        if not self.count:
            return None
        unit = Unit(self.manifest_key, self.offset, self.length, self.count)
        self.offset, self.length, self.count, self.bytes = self.offset + self.length, 0, 0, 0
        return unit


def read_tasks(lines: Iterable[bytes]) -> Iterator[FileTask]:
    """The tasks of manifest lines, as a file object or `bytes.splitlines` yields them."""
    return (FileTask.from_line(line) for line in lines)
