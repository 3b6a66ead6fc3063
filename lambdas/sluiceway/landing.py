"""One file from its URL to its object: what ProcessFile and `sluiceway copy` share.

Knows how source, transfer and sink are put together, and when a whole file is begun anew. Refuses to know jobs,
tables and functions.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from sluiceway.errors import FileExistsInSinkError, SendAgainError, SourceRestartError
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState
from sluiceway.redact import redact_url
from sluiceway.sink.upload import Target, Upload
from sluiceway.source.client import Client
from sluiceway.source.download import Download
from sluiceway.transfer.checksum import PART_CHECKSUMS
from sluiceway.transfer.pipeline import Outcome, Transfer
from sluiceway.transfer.plan import plan_parts
from sluiceway.transfer.verify import Expectation

MIB = 1024**2
GIB = 1024**3
# How often a file may be begun anew because its source changed or cannot resume.
MAX_RESTARTS = 3


@dataclass(frozen=True, slots=True)
class Options:
    """How files are landed. `if_exists` is overwrite or never; `part_bytes` None lets the planner choose;
    `part_checksum` is crc64nvme, crc32 or none; `memory_bytes` is what the function has."""

    if_exists: str = "overwrite"
    storage_class: str | None = None
    kms_key_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    max_file_bytes: int = 5 * GIB
    uploaders: int = 2
    part_bytes: int | None = None
    part_checksum: str = "crc64nvme"
    memory_bytes: int = 512 * MIB
    job_id: str | None = None


def land(
    task: FileTask,
    options: Options,
    *,
    client: Client,
    s3: Any,
    headers: Mapping[str, str] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> FileResult:
    """Lands one file: STORED, or SKIPPED with a reason. Raises SluicewayError; then no object has appeared and no
    upload is left. `headers` are sent to the source and may hold credentials."""
    began = time.perf_counter()
    restarts, sent_again = 0, False
    while True:
        try:
            result = _attempt(task, options, client, s3, headers or {}, on_progress)
            break
        except SourceRestartError:
            restarts += 1
            if restarts > MAX_RESTARTS:
                raise
            client.budget.pause(restarts)
        except SendAgainError:
            if sent_again:
                raise
            sent_again = True
        except FileExistsInSinkError as error:
            result = FileResult(FileState.SKIPPED, reason=f"if_exists is never: {error}")
            break
    return _timed(result, time.perf_counter() - began, restarts)


def _attempt(
    task: FileTask,
    options: Options,
    client: Client,
    s3: Any,
    headers: Mapping[str, str],
    on_progress: Callable[[int], None] | None,
) -> FileResult:
    waits = client.pool_waits
    checksum = PART_CHECKSUMS[options.part_checksum]
    with client.open(task.url, headers=headers) as source:
        plan = plan_parts(
            source.length,
            memory_bytes=options.memory_bytes,
            uploaders=options.uploaders,
            part_bytes=options.part_bytes,
            max_file_bytes=options.max_file_bytes,
        )
        with Upload(s3, target_of(task, options, source.headers, checksum.name if checksum else None)) as upload:
            outcome = Transfer(
                source,
                upload,
                plan,
                Expectation(task.size, {"caller": task.digests} if task.digests else {}),
                uploaders=options.uploaders,
                max_bytes=options.max_file_bytes,
                checksum=checksum,
                on_progress=on_progress,
            ).run()
        return _result(outcome, source, upload, client.pool_waits - waits)


def target_of(task: FileTask, options: Options, headers: Mapping[str, str], checksum_name: str | None) -> Target:
    """The object to be: what the job asked for and what the source said about the file."""
    extra: dict[str, Any] = {"ContentType": headers.get("content-type", "application/octet-stream")}
    if encoding := headers.get("content-encoding"):
        extra["ContentEncoding"] = encoding
    if options.storage_class:
        extra["StorageClass"] = options.storage_class
    if options.kms_key_id:
        extra |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": options.kms_key_id}
    if options.tags:
        extra["Tagging"] = "&".join(f"{quote(name)}={quote(value)}" for name, value in options.tags.items())
    condition = {"IfNoneMatch": "*"} if options.if_exists == "never" else {}
    return Target(task.bucket, task.key, extra, _metadata(task, options, headers), condition, checksum_name)


def _metadata(task: FileTask, options: Options, headers: Mapping[str, str]) -> dict[str, str]:
    found = {
        "source-url": quote(redact_url(task.url), safe=":/?&=%~!*'()@$,;+[]"),
        "source-etag": headers.get("etag", ""),
        "source-last-modified": headers.get("last-modified", ""),
        "job-id": options.job_id or "",
        **options.metadata,
    }
    # S3 metadata travels in headers: US-ASCII, 2 KB in all (User Guide, "Working with object metadata").
    return {name: value[:1024] for name, value in found.items() if value and value.isascii()}


def _result(outcome: Outcome, source: Download, upload: Upload, pool_waits: int) -> FileResult:
    return FileResult(
        FileState.STORED,
        bytes=outcome.bytes,
        digests=outcome.digests,
        etag=outcome.etag,
        parts=outcome.parts,
        verified_by=outcome.verified_by,
        source_wait_seconds=outcome.source_wait_seconds,
        sink_wait_seconds=outcome.sink_wait_seconds,
        hash_seconds=outcome.hash_seconds,
        pool_waits=pool_waits,
        part_retries=upload.retries,
        source_resumes=source.resumes,
        # Linux counts ru_maxrss in KiB.
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def _timed(result: FileResult, seconds: float, restarts: int) -> FileResult:
    return replace(result, seconds=seconds, source_resumes=result.source_resumes + restarts)
