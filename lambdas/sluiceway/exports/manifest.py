"""A list of files kept elsewhere: an object in S3, a document on the web, or a file on this machine.

Knows how each is opened and streamed. Refuses to know the formats: exports/formats.py does.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sluiceway.errors import CannotResumeError, ListChangedError
from sluiceway.exports.blocks import Block, Position, in_blocks
from sluiceway.exports.formats import read_entries
from sluiceway.job_files import new_work_folder
from sluiceway.pieces import Pieces
from sluiceway.redact import redact_url
from sluiceway.sink.storage import download_stream
from sluiceway.source.representation import Begun
from sluiceway.spec import Entry
from sluiceway.spec.document import ManifestSource

if TYPE_CHECKING:
    from sluiceway.aws.rows import JobRow
    from sluiceway.wiring import Services

BUFFER_BYTES = 256 * 1024
REMOTE = ("s3", "https", "http")


def is_remote(location: str) -> bool:
    """Whether a function can read it. Plain http is for the URL policy to allow or refuse."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return False
    return parts.scheme in REMOTE and bool(parts.netloc) and (parts.scheme != "s3" or len(parts.path) > 1)


def blocks(services: Services, source: ManifestSource, row: JobRow, at: Position, n: int) -> Iterator[Block]:
    """The entries of a job's manifest from number `n` on. Raises SinkError, SourceError or PolicyError if it cannot be
    read, InvalidJobError if it is none, ListChangedError if it is no longer the one begun."""
    parts = urlsplit(source.location)
    if parts.scheme != "s3":
        yield from _fetched(services, source, row, at, n)
        return
    # A key may hold ? and #, which are no query and no fragment there.
    key = source.location.partition("://")[2].partition("/")[2]
    with download_stream(services.s3, parts.netloc, key) as stream:
        etag = stream.etag
        if at.get("etag", etag) != etag:
            raise ListChangedError(f"{source.location}: the manifest was written anew while it was read")
        entries = read_entries(io.BufferedReader(stream, BUFFER_BYTES), name_of(source.location), source.format)
        yield from in_blocks(entries, n, lambda: {"etag": etag})


def file_entries(path: Path, format: str | None = None) -> Iterator[Entry]:
    """Streams a manifest on this machine. Raises OSError, and InvalidJobError if it is none."""
    with io.BufferedReader(io.FileIO(path), BUFFER_BYTES) as stream:
        yield from read_entries(stream, path.name, format)


def name_of(location: str) -> str:
    """The last part of the path: what a mistake is reported under. Never the query string."""
    return urlsplit(location).path.rstrip("/").rpartition("/")[2] or "manifest"


def _fetched(services: Services, source: ManifestSource, row: JobRow, at: Position, n: int) -> Iterator[Block]:
    """A manifest on the web is fetched whole before it is read: asked again, it might be another."""
    copy = Pieces(services, new_work_folder(row.job_id, row.run), "list", at.get("pieces", ()))
    if not at.get("is_whole"):
        yield from _fetch(services, source, at, copy)
    entries = read_entries(copy.stream(), name_of(source.location), source.format)
    yield from in_blocks(entries, n, lambda: {"pieces": copy.save(), "is_whole": True})


def _fetch(services: Services, source: ManifestSource, at: Position, copy: Pieces) -> Iterator[Block]:
    headers = services.secrets.headers(source.headers_secret) if source.headers_secret else None
    begun = Begun(copy.size, at["validator"], at["length"]) if at else None
    with services.source.open(source.location, headers=headers, begun=begun) as body:

        def stands() -> Position:
            if not body.resumable:
                shown = redact_url(source.location)
                raise CannotResumeError(f"{shown}: the list takes longer than an invocation, and cannot be resumed")
            return {"pieces": copy.save(), "validator": body.validator, "length": body.length}

        while data := body.read(BUFFER_BYTES):
            # What has come is kept only after the block, so that there is always a byte left to resume at.
            yield Block(stands, ())
            copy.write(data)
