"""PollExport: one question to the export API, and what it means for the job."""

from __future__ import annotations

from typing import Any

from sluiceway.exports import http
from sluiceway.job_files import get_json
from sluiceway.spec import load_job
from sluiceway.spec.http_source import HttpSource
from sluiceway.wiring import Services


def poll_export(services: Services, job_id: str, execution: str) -> dict[str, Any]:
    """Raises NotOwnerError, ExportError, and what a request raises that cannot be sent."""
    row = services.jobs.owned(job_id, execution)
    source = load_job(get_json(services, row.document_key), job_id).source
    wait_seconds = http.poll(services, source, job_id) if isinstance(source, HttpSource) else None
    return {
        "job_id": job_id,
        "execution": execution,
        "action": "READY" if wait_seconds is None else "POLL",
        "wait_seconds": wait_seconds or 0,
    }
