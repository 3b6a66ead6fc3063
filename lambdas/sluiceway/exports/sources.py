"""Which kind of source a job has, and what that means for starting, awaiting, listing and closing it.

Knows the kinds. Refuses to know how any of them works.
"""

from __future__ import annotations

from collections.abc import Iterator

from sluiceway.aws.rows import JobRow
from sluiceway.errors import FieldError, InvalidJobError
from sluiceway.exports import fhir, http, http_list, manifest, urls
from sluiceway.exports.blocks import Block, Position, in_blocks
from sluiceway.exports.standing import READY, Step, find
from sluiceway.job_files import get_json
from sluiceway.spec import Job, load_job
from sluiceway.spec.document import ManifestSource, UrlsSource
from sluiceway.spec.fhir_source import FhirBulkSource
from sluiceway.spec.http_source import HttpSource
from sluiceway.spec.mistakes import found
from sluiceway.wiring import Services


def check(job: Job) -> None:
    """Raises InvalidJobError for a source that a person's machine could read and a function cannot."""
    if isinstance(job.source, ManifestSource) and not manifest.is_remote(job.source.location):
        place = found(job.source.location)
        raise InvalidJobError([FieldError("source.location", place, "s3://bucket/key or an https:// URL")])


def renews_links(job: Job) -> bool:
    """Whether reading the list again may give other links to the same files."""
    if isinstance(job.source, ManifestSource):
        return job.source.location.startswith("https://")
    return not isinstance(job.source, UrlsSource)


def start(services: Services, job: Job, row: JobRow) -> Step:
    """Starts the export, and says how it is awaited; READY when the list is."""
    match job.source:
        case HttpSource():
            return http.start(services, job.source, row)
        case FhirBulkSource():
            return fhir.start(services, job.source, row)
    return READY


def poll(services: Services, job: Job, row: JobRow) -> Step:
    """Asks the export API once."""
    match job.source:
        case HttpSource():
            return http.poll(services, job.source, row)
        case FhirBulkSource():
            return fhir.poll(services, job.source, row)
    return READY


def blocks(services: Services, job: Job, row: JobRow, at: Position, n: int) -> Iterator[Block]:
    """The entries of the list from `at` on, a block at a time; `n` of them came before. Raises ListChangedError where
    the list is no longer the one begun."""
    match job.source:
        case UrlsSource():
            return in_blocks(urls.entries(job.source), n, dict)
        case ManifestSource():
            return manifest.blocks(services, job.source, row, at, n)
        case HttpSource():
            return http_list.blocks(services, job.source, row, at, n)
        case FhirBulkSource():
            return fhir.blocks(services, job.source, row, at, n)


def close(services: Services, row: JobRow, *, landed: bool) -> str | None:
    """Tells an export API, if the job has one, that its export is done with: everything has landed, or never will.
    Answers with what went wrong in doing so."""
    if find(services, row) is None:
        return None
    source = load_job(get_json(services, row.document_key), row.job_id).source
    match source:
        case HttpSource():
            return http.close(services, source, row, landed=landed)
        case FhirBulkSource():
            return fhir.close(services, source, row, landed=landed)
    return None
