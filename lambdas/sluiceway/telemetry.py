"""Logs and metrics of the functions, and the names of the metrics.

Knows the namespace and the one dimension, the service: what tells files and jobs apart goes into the log, for every
distinct dimension is a metric that costs. Used by the handlers only; the library neither logs nor counts.
"""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState

NAMESPACE = "Sluiceway"
# One service for all functions: the dimension must not split what the dashboard adds up.
SERVICE = "sluiceway"

BYTES_TRANSFERRED = "BytesTransferred"
FILES_STORED = "FilesStored"
FILES_SKIPPED = "FilesSkipped"
FILES_REJECTED = "FilesRejected"
FILES_FAILED = "FilesFailed"
TRANSFER_SECONDS = "TransferSeconds"
SOURCE_WAIT_SECONDS = "SourceWaitSeconds"
SINK_WAIT_SECONDS = "SinkWaitSeconds"
POOL_WAITS = "PoolWaits"
SOURCE_RESUMES = "SourceResumes"
PART_RETRIES = "PartRetries"
PEAK_MEMORY_MB = "PeakMemoryMB"
EXPORT_WAIT_SECONDS = "ExportWaitSeconds"

logger = Logger(service=SERVICE)
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)

_ENDS = {
    FileState.STORED: FILES_STORED,
    FileState.SKIPPED: FILES_SKIPPED,
    FileState.REJECTED: FILES_REJECTED,
    FileState.FAILED: FILES_FAILED,
}


def measure_file(task: FileTask, result: FileResult) -> None:
    """Counts one file's end and logs it in one line."""
    logger.info("file ended", bucket=task.bucket, key=task.key, state=result.state.value, bytes=result.bytes,
                seconds=result.seconds, error_type=result.error_type, error_message=result.error_message)  # fmt: skip
    if result.state in _ENDS:
        metrics.add_metric(_ENDS[result.state], MetricUnit.Count, 1)
    if result.state is FileState.STORED:
        metrics.add_metric(BYTES_TRANSFERRED, MetricUnit.Bytes, result.bytes)
        metrics.add_metric(SINK_WAIT_SECONDS, MetricUnit.Seconds, result.sink_wait_seconds)
        metrics.add_metric(PEAK_MEMORY_MB, MetricUnit.Megabytes, result.peak_memory_bytes / 1024**2)
        metrics.add_metric(SOURCE_WAIT_SECONDS, MetricUnit.Seconds, result.source_wait_seconds)
        metrics.add_metric(POOL_WAITS, MetricUnit.Count, result.pool_waits)
        metrics.add_metric(PART_RETRIES, MetricUnit.Count, result.part_retries)
        metrics.add_metric(SOURCE_RESUMES, MetricUnit.Count, result.source_resumes)
    metrics.add_metric(TRANSFER_SECONDS, MetricUnit.Seconds, result.seconds)
