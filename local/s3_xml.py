"""The XML documents of S3's replies and the two it reads (Complete, DeleteObjects).

Knows element names and order. Source: the S3 API reference.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from local.http import Response
from local.s3_checksums import ALGORITHMS
from local.s3_errors import S3Error

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
Fields = Iterable[tuple[str, object]]


def reply(root: str, fields: Fields, headers: list[tuple[str, str]] | None = None) -> Response:
    """A value may be a list of pairs (nested), text, number or bool; None is left out."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{_NAMESPACE}">{_inside(fields)}</{root}>'
    return Response(200, [("Content-Type", "application/xml"), *(headers or [])], text.encode())


def _inside(fields: Fields) -> str:
    parts = []
    for name, value in fields:
        if value is None:
            continue
        if isinstance(value, list):
            text = _inside(value)
        elif isinstance(value, bool):
            text = str(value).lower()
        else:
            text = escape(str(value))
        parts.append(f"<{name}>{text}</{name}>")
    return "".join(parts)


def iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def encoded(text: str | None, encoding: str | None) -> str | None:
    """As the caller's encoding-type wants a key or a piece of one; None stays None."""
    return quote(text, safe="/") if text is not None and encoding == "url" else text


@dataclass(frozen=True, slots=True)
class StatedPart:
    """A part as CompleteMultipartUpload names it; `etag` without quotes."""

    number: int
    etag: str
    checksums: dict[str, str]


def parse_complete(document: bytes) -> list[StatedPart]:
    parts = []
    for element in _parse(document):
        if _name(element) != "Part":
            continue
        texts = {_name(child): (child.text or "").strip() for child in element}
        sums = {name: texts[f"Checksum{name.upper()}"] for name in ALGORITHMS if f"Checksum{name.upper()}" in texts}
        try:
            parts.append(StatedPart(int(texts["PartNumber"]), texts["ETag"].strip('"'), sums))
        except (KeyError, ValueError):
            raise _malformed() from None
    if not parts:
        raise _malformed()
    return parts


def parse_delete(document: bytes) -> tuple[list[str], bool]:
    """The keys, and whether the caller wants to hear of failures only."""
    root = _parse(document)
    keys = [
        (child.text or "")
        for element in root
        if _name(element) == "Object"
        for child in element
        if _name(child) == "Key"
    ]
    quiet = any(_name(element) == "Quiet" and element.text == "true" for element in root)
    if not 0 < len(keys) <= 1000:
        raise _malformed()
    return keys, quiet


def parse_tags(document: bytes) -> dict[str, str]:
    pairs = [
        {_name(child): child.text or "" for child in tag} for tag in _parse(document).iter() if _name(tag) == "Tag"
    ]
    if not all({"Key", "Value"} <= pair.keys() for pair in pairs):
        raise _malformed()
    return {pair["Key"]: pair["Value"] for pair in pairs}


def _parse(document: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(document)
    except ElementTree.ParseError:
        raise _malformed() from None


def _malformed() -> S3Error:
    return S3Error(
        "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"
    )


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
