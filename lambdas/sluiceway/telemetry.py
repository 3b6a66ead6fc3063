"""How every function is entered: its logs, its metrics with their names, and what its errors may say.

Knows the namespace and the one dimension, the service: what tells files and jobs apart goes into the log, for every
distinct dimension is a metric that costs. What a function raises stands in Lambda's log, in traces and in the history
of the execution, which more people read than may see a link. Used by the handlers only; the library neither logs nor
counts.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sluiceway.errors import SourceUnreachableError
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState
from sluiceway.redact import redact_error

NAMESPACE = "Sluiceway"
# One service for all functions of a stack: the dimension must not split what its dashboard adds up, and must tell the
# stacks of an account apart.
SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "sluiceway")

BYTES_TRANSFERRED = "BytesTransferred"
FILES_STORED = "FilesStored"
FILES_SKIPPED = "FilesSkipped"
FILES_REJECTED = "FilesRejected"
FILES_FAILED = "FilesFailed"
TRANSFER_SECONDS = "TransferSeconds"
SOURCE_WAIT_SECONDS = "SourceWaitSeconds"
SINK_WAIT_SECONDS = "SinkWaitSeconds"
HASH_SECONDS = "HashSeconds"
POOL_WAITS = "PoolWaits"
SOURCE_RESUMES = "SourceResumes"
PART_RETRIES = "PartRetries"
RELAYS = "Relays"
SLOW_FILES = "SlowFiles"
SOURCE_UNREACHABLE = "SourceUnreachable"
PEAK_MEMORY_MB = "PeakMemoryMB"
PEAK_MEMORY_PERCENT = "PeakMemoryPercent"
EXPORT_WAIT_SECONDS = "ExportWaitSeconds"
STALE_UPLOADS = "StaleUploads"
CALLBACKS_REJECTED = "CallbacksRejected"

# A file up to the default limit that takes longer has a source, or a line to it, worth a look: at the 50 MB/s that a
# function is known to reach, 5 GiB take 110 s.
SLOW_FILE_BYTES = 5 * 1024**3
SLOW_FILE_SECONDS = 300.0

logger = Logger(service=SERVICE)
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)

_ENDS = {
    FileState.STORED: FILES_STORED,
    FileState.SKIPPED: FILES_SKIPPED,
    FileState.REJECTED: FILES_REJECTED,
    FileState.FAILED: FILES_FAILED,
}


Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def entry(*, measures: bool = False) -> Callable[[Handler], Handler]:
    """What every handler is wrapped in. `measures`: it has metrics to send. Whatever it raises leaves without a secret
    in its texts, under the name it had, which Step Functions matches."""

    def wrap(handler: Handler) -> Handler:
        told = metrics.log_metrics(handler) if measures else handler
        told = logger.inject_lambda_context(told, clear_state=True, log_event=False)

        @functools.wraps(handler)
        def enter(event: dict[str, Any], context: Any) -> dict[str, Any]:
            try:
                answer: dict[str, Any] = told(event, context)
                return answer
            except BaseException as error:
                shown = redact_error(error)
            # Outside of the handling, which would hang the error as it was behind the one that is shown.
            raise shown

        return enter

    return wrap


def tell_job(job_id: str) -> None:
    """Everything logged and measured from here on in this invocation says whose it is."""
    logger.append_keys(job_id=job_id)
    # A property of the metrics' own line in the log, not a dimension: one query tells a job's whole story.
    metrics.add_metadata("job_id", job_id)


def measure_memory(peak_bytes: int, memory_bytes: int) -> None:
    """What this process has held at most, and of how much: functions of several sizes move files."""
    metrics.add_metric(PEAK_MEMORY_MB, MetricUnit.Megabytes, peak_bytes / 1024**2)
    metrics.add_metric(PEAK_MEMORY_PERCENT, MetricUnit.Percent, 100 * peak_bytes / memory_bytes)


def measure_file(task: FileTask, result: FileResult) -> None:
    """Counts one file's end and logs it in one line."""
    logger.info("file ended", bucket=task.bucket, key=task.key, state=result.state.value, bytes=result.bytes,
                seconds=result.seconds, error_type=result.error_type, error_message=result.error_message)  # fmt: skip
    if result.state in _ENDS:
        metrics.add_metric(_ENDS[result.state], MetricUnit.Count, 1)
    if result.state is FileState.STORED:
        metrics.add_metric(BYTES_TRANSFERRED, MetricUnit.Bytes, result.bytes)
    if result.seconds:  # worked on, whatever its end: one that was skipped unseen or cancelled would lower every mean
        metrics.add_metric(TRANSFER_SECONDS, MetricUnit.Seconds, result.seconds)
        metrics.add_metric(SINK_WAIT_SECONDS, MetricUnit.Seconds, result.sink_wait_seconds)
        metrics.add_metric(SOURCE_WAIT_SECONDS, MetricUnit.Seconds, result.source_wait_seconds)
        metrics.add_metric(HASH_SECONDS, MetricUnit.Seconds, result.hash_seconds)
        metrics.add_metric(RELAYS, MetricUnit.Count, result.relays)
        metrics.add_metric(POOL_WAITS, MetricUnit.Count, result.pool_waits)
        metrics.add_metric(PART_RETRIES, MetricUnit.Count, result.part_retries)
        metrics.add_metric(SOURCE_RESUMES, MetricUnit.Count, result.source_resumes)
    if result.bytes <= SLOW_FILE_BYTES and result.seconds > SLOW_FILE_SECONDS:
        metrics.add_metric(SLOW_FILES, MetricUnit.Count, 1)
    if result.error_type == SourceUnreachableError.__name__:
        metrics.add_metric(SOURCE_UNREACHABLE, MetricUnit.Count, 1)
