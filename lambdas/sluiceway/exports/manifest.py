"""A list of files kept elsewhere: an object in S3, a document on the web, or a file on this machine.

Knows how each is opened and streamed. Refuses to know the formats: exports/formats.py does.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sluiceway.exports.formats import read_entries
from sluiceway.sink.storage import download_stream
from sluiceway.spec import Entry
from sluiceway.spec.document import ManifestSource

if TYPE_CHECKING:
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


def entries(services: Services, source: ManifestSource) -> Iterator[Entry]:
    """Streams the manifest of a job. Raises SinkError, SourceError or PolicyError if it cannot be read, and
    InvalidJobError if it is none."""
    with _open(services, source) as stream:
        buffered = io.BufferedReader(stream, BUFFER_BYTES)
        yield from read_entries(buffered, name_of(source.location), source.format)


def file_entries(path: Path, format: str | None = None) -> Iterator[Entry]:
    """Streams a manifest on this machine. Raises OSError, and InvalidJobError if it is none."""
    with io.BufferedReader(io.FileIO(path), BUFFER_BYTES) as stream:
        yield from read_entries(stream, path.name, format)


def name_of(location: str) -> str:
    """The last part of the path: what a mistake is reported under. Never the query string."""
    return urlsplit(location).path.rstrip("/").rpartition("/")[2] or "manifest"


def _open(services: Services, source: ManifestSource) -> io.RawIOBase:
    parts = urlsplit(source.location)
    if parts.scheme == "s3":
        # A key may hold ? and #, which are no query and no fragment there.
        key = source.location.partition("://")[2].partition("/")[2]
        return download_stream(services.s3, parts.netloc, key)
    headers = services.secrets.headers(source.headers_secret) if source.headers_secret else None
    return services.source.open(source.location, headers=headers)
