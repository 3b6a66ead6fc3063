"""A list of files in blocks: between two of them an invocation may end and the next one go on.

Knows where a block begins, as JSON of a few hundred bytes that may hold a link and therefore stays in the jobs bucket.
Refuses to know what an entry is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from sluiceway.spec import Entry

BLOCK_ENTRIES = 1000

# Where a source stands; empty at the beginning of its list.
Position: TypeAlias = "Mapping[str, Any]"


class Block(NamedTuple):
    """`at` says where this block begins, for the source to come back to; it raises CannotResumeError where that cannot
    be. `entries` must be used up before the next block is asked for."""

    at: Callable[[], Position]
    entries: Iterable[Entry]


def in_blocks(entries: Iterator[Entry], n: int, at: Callable[[], Position]) -> Iterator[Block]:
    """A list that is the same whenever it is read, from its entry `n` on: those before it are read and passed over,
    which takes a third of the time of judging them."""
    rest = islice(entries, n, None)
    while block := list(islice(rest, BLOCK_ENTRIES)):
        yield Block(at, block)
