"""The outputs of a job, line by line: report.jsonl, failed.jsonl, SHA256SUMS and summary.json.

Knows what stands in each line and that no secret may, except in failed.jsonl, whose links must work again: like
manifest.jsonl it stays in the private jobs bucket. Refuses to know where lines are written.
"""

from __future__ import annotations

import json
from typing import Any

from sluiceway.jobs.counts import Counts
from sluiceway.jobs.events import error_of
from sluiceway.jobs.fields import escape
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState
from sluiceway.redact import redact_url

# SHA256SUMS is read back by `sha256sum -c` of GNU coreutils, whose manual says ("cksum output modes"): a name with
# a backslash, newline or carriage return has it escaped, and its line starts with a backslash.
_SUM_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})


def report_line(task: FileTask, result: FileResult) -> bytes:
    """One line of report.jsonl, newline included."""
    return _line(
        {
            "url": redact_url(task.url),
            "bucket": task.bucket,
            "key": task.key,
            "status": result.state.value,
            "bytes": result.bytes,
            "sha256": result.digests.get("sha256"),
            "etag": result.etag,
            "error": error_of(result),
            "reason": result.reason,
            "overruled": result.overruled,
            "digests": dict(result.digests),
            "source_validator": result.source_validator,
            "verified_by": list(result.verified_by),
            "parts": result.parts,
            "seconds": result.seconds,
            "source_wait_seconds": result.source_wait_seconds,
            "sink_wait_seconds": result.sink_wait_seconds,
            "hash_seconds": result.hash_seconds,
            "pool_waits": result.pool_waits,
            "part_retries": result.part_retries,
            "source_resumes": result.source_resumes,
            "relays": result.relays,
            "segments": result.segments,
            "peak_memory_bytes": result.peak_memory_bytes,
        }
    )


def failed_line(task: FileTask) -> bytes:
    """One line of failed.jsonl: a file entry as a manifest of JSON lines has it, with the whole key and the link, and
    where it stands how the file is asked for."""
    entry: dict[str, Any] = {"url": task.url, "bucket": task.bucket, "key": escape(task.key)}
    if task.size is not None:
        entry["size"] = task.size
    entry.update({name: int(value) if name == "rows" else value for name, value in task.digests.items()})
    more = {"headers_secret": task.headers_secret, "split": task.split, "access": task.access}
    return _line(entry | {name: value for name, value in more.items() if value is not None})


def sum_line(task: FileTask, result: FileResult) -> bytes | None:
    """One line of SHA256SUMS, `HEX  bucket/key`; None for a file that was not stored with a SHA-256."""
    sha256 = result.digests.get("sha256")
    if result.state not in (FileState.STORED, FileState.SKIPPED) or sha256 is None:
        return None
    name = f"{task.bucket}/{task.key}"
    escaped = name.translate(_SUM_ESCAPES)
    mark = "\\" if escaped != name else ""
    return f"{mark}{sha256}  {escaped}\n".encode()


def summary(
    job_id: str,
    *,
    status: str,
    run: int,
    execution: str,
    counts: Counts,
    files_total: int,
    created_at: str,
    ended_at: str,
    seconds: float,
    error: dict[str, str] | None,
    outputs: dict[str, str],
) -> dict[str, Any]:
    """summary.json. Times are ISO 8601 in UTC; `outputs` maps an output's name to its key in the jobs bucket."""
    return {
        "job_id": job_id,
        "status": status,
        "run": run,
        "execution": execution,
        "files": counts.files,
        "files_total": files_total,
        "bytes": counts.bytes,
        "created_at": created_at,
        "ended_at": ended_at,
        "seconds": seconds,
        "error": error,
        "outputs": outputs,
    }


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
