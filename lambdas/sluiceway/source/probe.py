"""What a source can do for a large file, learnt by asking.

Many servers honour ranges without saying so and some say so without honouring them, so one byte is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluiceway.errors import RangesRefusedError
from sluiceway.source.representation import Begun

if TYPE_CHECKING:
    from sluiceway.source.client import Client


@dataclass(frozen=True, slots=True)
class Probe:
    """`length` in bytes and `validator` for If-Range: either is None where the source does not tell. `ranges`: whether
    it sends the part of the file that it is asked for."""

    headers: Mapping[str, str]
    length: int | None
    validator: str | None
    ranges: bool


def probe(
    client: Client, url: str, headers: Mapping[str, str], *, on_resume: Callable[[], None] | None = None
) -> Probe:
    """Raises SourceStatusError, SourceError, PolicyError as `Client.open` does, which calls `on_resume` as well."""
    with client.open(url, headers=headers, on_resume=on_resume) as whole:
        length, validator, facts = whole.length, whole.validator, whole.headers
    if length is None or length < 2 or validator is None:
        return Probe(facts, length, validator, False)
    try:
        client.open(url, headers=headers, begun=Begun(0, validator, length, end=1), on_resume=on_resume).close()
    except RangesRefusedError:
        return Probe(facts, length, validator, False)
    return Probe(facts, length, validator, True)
