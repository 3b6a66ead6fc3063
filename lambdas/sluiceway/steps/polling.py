"""PollExport: one question to the export API, and what it means for the job."""

from __future__ import annotations

from typing import Any

from sluiceway.exports import sources
from sluiceway.job_files import get_json
from sluiceway.spec import load_job
from sluiceway.wiring import Services


def poll_export(services: Services, job_id: str, execution: str) -> dict[str, Any]:
    """Raises NotOwnerError, ExportError, and what a request raises that cannot be sent."""
    row = services.jobs.owned(job_id, execution)
    step = sources.poll(services, load_job(get_json(services, row.document_key), job_id), row)
    if step.progress is not None:
        services.jobs.change_state(row, row.state, export_progress=step.progress)
    return {"job_id": job_id, "execution": execution, **step.told}
