"""Reads the items of a list out of a reply, one at a time, and what stands around the list.

Knows that a reply may hold 100,000 items: where the path to the list is plain names, they are streamed and never all
in memory as values. Refuses to know what an item is.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import ijson  # type: ignore[import-untyped, unused-ignore]
import jmespath
from ijson.common import ObjectBuilder  # type: ignore[import-untyped, unused-ignore]

from sluiceway.errors import NotInReplyError, ReplyNotJsonError
from sluiceway.transfer.digest import ALGORITHMS, normalise

# A reply up to this size is parsed whole.
SMALL_BYTES = 1024**2
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
# Algorithm, a separator, the value: `sha-256=HEX`, `sha-256=:BASE64:` (RFC 9530), `md5:HEX`, `SHA256 HEX`.
_SPELT = re.compile(r"(md5|sha-?1|sha-?256|sha-?512|crc-?32c?|crc-?64-?nvme)\s*[=: ]\s*:?([^:]+):?", re.IGNORECASE)
# What a value without a name may be: their lengths tell them apart.
_UNNAMED = ("md5", "sha1", "sha256", "sha512")


def outline(body: bytes, path: str | None) -> Any:
    """The JSON of a reply; of a long one, without the items of the list at `path`. Raises ValueError."""
    prefix = _prefix(path)
    if len(body) <= SMALL_BYTES or prefix is None:
        return json.loads(body)
    builder, inside = ObjectBuilder(), f"{prefix}.item".lstrip(".")
    try:
        for where, event, value in ijson.parse(io.BytesIO(body), use_float=True):
            if where != inside and not where.startswith(f"{inside}."):
                builder.event(event, value)
    except (ijson.JSONError, UnicodeDecodeError) as error:
        raise ValueError("not JSON") from error
    return builder.value


def items(body: bytes, path: str) -> Iterator[Any]:
    """The items of the list at the JMESPath `path`. Raises NotInReplyError where it finds no list."""
    prefix = _prefix(path)
    if len(body) <= SMALL_BYTES or prefix is None:
        found = jmespath.search(path, json.loads(body))
        if not isinstance(found, list):
            raise NotInReplyError(f"{path!r} finds no list")
        yield from found
        return
    seen = False

    def watched() -> Iterator[Any]:
        nonlocal seen
        for where, event, value in ijson.parse(io.BytesIO(body), use_float=True):
            seen = seen or (where == prefix and event == "start_array")
            yield where, event, value

    try:
        yield from ijson.items(watched(), f"{prefix}.item".lstrip("."))
    except (ijson.JSONError, UnicodeDecodeError):
        raise ReplyNotJsonError("the list is not JSON") from None
    if not seen:
        raise NotInReplyError(f"{path!r} finds no list")


def parse_digest(text: Any) -> tuple[str, str]:
    """Algorithm and lower-case hex of a digest in any spelling. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("a digest is a text")
    if match := _SPELT.fullmatch(text.strip()):
        name = match[1].lower().replace("-", "")
        return name, normalise(name, match[2])
    for name in _UNNAMED:
        try:
            return name, normalise(name, text)
        except ValueError:
            continue
    raise ValueError(f"no digest by {', '.join(ALGORITHMS)}")


def _prefix(path: str | None) -> str | None:
    """What ijson calls a plain path; None for one that only JMESPath understands."""
    if path is None:
        return None
    if path == "@":
        return ""
    return path if _PLAIN.fullmatch(path) else None
