"""Which kind of source a job has, and what that means for starting and listing it.

Knows the three kinds. Refuses to know how any of them works.
"""

from __future__ import annotations

from collections.abc import Iterator

from sluiceway.aws.rows import JobRow
from sluiceway.errors import FieldError, InvalidJobError
from sluiceway.exports import http, manifest, urls
from sluiceway.spec import Entry, Job
from sluiceway.spec.document import ManifestSource, UrlsSource
from sluiceway.spec.http_source import HttpSource
from sluiceway.spec.mistakes import found
from sluiceway.wiring import Services


def check(job: Job) -> None:
    """Raises InvalidJobError for a source that a person's machine could read and a function cannot."""
    if isinstance(job.source, ManifestSource) and not manifest.is_remote(job.source.location):
        place = found(job.source.location)
        raise InvalidJobError([FieldError("source.location", place, "s3://bucket/key or an https:// URL")])


def start(services: Services, job: Job, row: JobRow) -> int | None:
    """Starts the export; answers with the seconds to wait before the first poll, None when the list is ready."""
    return http.start(services, job.source, row) if isinstance(job.source, HttpSource) else None


def entries(services: Services, job: Job) -> Iterator[Entry]:
    """The entries of the list, one at a time."""
    match job.source:
        case UrlsSource():
            return urls.entries(job.source)
        case ManifestSource():
            return manifest.entries(services, job.source)
        case HttpSource():
            return http.entries(services, job.source, job.job_id)
