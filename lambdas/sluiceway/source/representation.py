"""Which body a reply carries: its length, its validator, and whether a 206 is the rest of the body begun.

Pure: headers in, facts or errors out. Everything here follows RFC 9110.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from sluiceway.errors import RangesRefusedError, SourceProtocolError, SourceRestartError
from sluiceway.source.stated import stated_digests

# As JSON writes it. A validator is carried from one invocation to the next in a checkpoint of under 4 KB, and HTTP sets
# it no bound; those of common servers have up to a hundred characters.
MAX_VALIDATOR_CHARS = 512
# No count of bytes has more digits; from 4,301 on Python refuses to make them a number.
COUNT = r"[0-9]{1,19}"
CONTENT_RANGE = re.compile(rf"bytes ({COUNT})-({COUNT})/({COUNT}|\*)")
# Of a header that is refused so much is shown.
SHOWN_CHARS = 100


@dataclass(frozen=True, slots=True)
class Begun:
    """A body whose first `offset` bytes are somebody else's; `length` was announced then. `end`, where given, is the
    byte before which to stop."""

    offset: int
    validator: str | None
    length: int | None
    end: int | None = None


def announced_length(headers: Mapping[str, str], shown: str) -> int | None:
    """The body's length in bytes from Content-Length; None when absent or overruled by chunked framing (RFC 9112,
    6.3; source/connections.py lets no other in). Raises SourceProtocolError when it is no number, or several that
    differ."""
    text = headers.get("content-length")
    if text is None or "chunked" in headers.get("transfer-encoding", "").lower():
        return None
    values = {value.strip() for value in text.split(",")}
    value = values.pop()
    if values or not re.fullmatch(COUNT, value):
        raise SourceProtocolError(f"{shown}: Content-Length is {text[:SHOWN_CHARS]!r}")
    return int(value)


def strong_validator(headers: Mapping[str, str]) -> str | None:
    """What If-Range may carry (RFC 9110, 13.1.5): a strong ETag, else a Last-Modified that is a strong one, else None.
    A date is strong when the reply was made at least a second later (8.8.2.2): within one second a file may change
    twice. One that is too long to be carried counts as none."""
    found = _strong(headers)
    return found if found is not None and len(json.dumps(found)) <= MAX_VALIDATOR_CHARS else None


def _strong(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("etag", "")
    if etag.startswith('"'):
        return etag
    modified = headers.get("last-modified")
    if modified is None or etag:
        return None
    try:
        age = parsedate_to_datetime(headers.get("date", "")) - parsedate_to_datetime(modified)
    except (TypeError, ValueError, OverflowError):
        return None
    return modified if age.total_seconds() >= 1 else None


def check_unchanged(
    headers: Mapping[str, str], before: Mapping[str, str], validator: str | None, length: int | None, shown: str
) -> None:
    """Compares the reply to a request for the whole body with the first one, whose headers were those of `before`.
    Without a validator what they state of the bytes tells whether they may be of one body. Raises
    SourceRestartError."""
    found = strong_validator(headers), announced_length(headers, shown)
    if found != (validator, length):
        raise SourceRestartError(
            f"{shown}: the file changed: it was {validator} of {length} bytes, now it is {found[0]} of {found[1]}"
        )
    codings = [each.get("content-encoding", "identity").lower() for each in (before, headers)]
    if codings[0] != codings[1] or stated_digests(before) != stated_digests(headers):
        raise SourceRestartError(f"{shown}: the file changed: its content coding or its stated digests did")


def check_rest(
    headers: Mapping[str, str], validator: str | None, offset: int, end: int | None, length: int | None, shown: str
) -> tuple[int, int | None]:
    """Compares a 206 with what was asked for: the bytes from `offset` to before `end` of the body of `length` bytes
    (None: unknown) known by `validator`. Returns where the piece ends, exclusive, for a server may send less than asked
    for; and the length of the whole body, None where it is not told. Raises SourceRestartError when it is a piece of
    another body, RangesRefusedError when it is another piece."""
    _check_same(headers, validator, shown)
    text = headers.get("content-range", "")
    match = CONTENT_RANGE.fullmatch(text.strip())
    first, stop = (int(match[1]), int(match[2]) + 1) if match else (-1, -1)
    total = None if match is None or match[3] == "*" else int(match[3])
    bound = end if end is not None else total
    piece = announced_length(headers, shown)
    fits = first == offset < stop and (bound is None or stop <= bound) and piece in (None, stop - first)
    if not fits or (length is not None and total not in (None, length)):
        raise RangesRefusedError(
            f"{shown}: asked for the bytes {offset} to {end} of {length}, the server sent Content-Range "
            f"{text[:SHOWN_CHARS]!r} and Content-Length {piece}"
        )
    return stop, total


def is_end(headers: Mapping[str, str], validator: str | None, offset: int, shown: str) -> bool:
    """Whether a 416 to the bytes from `offset` on says that the body, of a length unknown so far, ends right there (RFC
    9110, 14.4). Raises SourceRestartError when it speaks of another body."""
    _check_same(headers, validator, shown)
    return headers.get("content-range", "").strip() == f"bytes */{offset}"


def _check_same(headers: Mapping[str, str], validator: str | None, shown: str) -> None:
    name = "etag" if (validator or "").startswith('"') else "last-modified"
    found = headers.get(name)
    # RFC 9110, 15.3.7: a 206 repeats the ETag; one that does not, and a 416, has at least been asked with If-Range.
    if found is not None and found != validator:
        raise SourceRestartError(f"{shown}: the file changed: its {name} was {validator}, now it is {found}")
