"""The functions by their folders, the tasks by their states, actions on `*`, and settings that are no default."""

from __future__ import annotations

from typing import Any

MOVERS = ("process_file", "process_file_large", "move_segment", "move_segment_large", "finish_file")
ENDERS = ("record_failure", "commit_files", "complete_job")
STATES = ("start_export", "poll_export", "await_export", "dispatch_files", *MOVERS, *ENDERS)
FOLDERS = (*STATES, "issue_token", "export_callback", "count_stale_uploads")
CHILD_TASKS = ("ProcessFile", "ProcessFileLarge", "MoveSegment", "MoveSegmentLarge", "FinishFile", "RecordFailure")
TASKS = ("StartExport", "PollExport", "AwaitExport", "DispatchFiles", *CHILD_TASKS, "CommitFiles", "CompleteJob")
# IAM knows no resource for these actions.
TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
TOKENS = {"states:SendTaskSuccess", "states:SendTaskFailure"}

SETTINGS: dict[str, Any] = {
    "process_file_memory_mb": "1024",
    "process_file_timeout_seconds": "300",
    "uploaders": "3",
    "part_mib": "16",
    "part_checksum": "crc32",
    "max_file_bytes": "1000",
    "max_concurrency": "5",
    "allowed_sources": "localhost:8080,files.internal",
    "only_hosts": "files.example,.cdn.example",
    "destination_buckets": "acme-raw,acme-cold",
    "manifest_buckets": "acme-lists",
    "secret_prefix": "vendor/",
    "event_bus": "data-platform",
    "file_events": "STORED",
    "progress_seconds": "0.5",
    "batch_files": "20",
    "batch_bytes": "1000000",
    "batch_threads": "3",
    "split_bytes": "10000000",
    "deadline_minutes": "20160",
    "stage": "test",
}
