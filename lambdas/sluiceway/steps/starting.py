"""StartExport: reads the job document, takes the job for this execution, and starts its export.

Knows that ownership comes before judgement: even a job whose document is wrong is somebody's, so that its end is
recorded and its outputs are written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from sluiceway.aws.rows import JobRow
from sluiceway.errors import FieldError, InvalidJobError, NotOwnerError, SluicewayError
from sluiceway.exports import sources
from sluiceway.exports.once import DoubledFieldError, once
from sluiceway.job_files import DOCUMENT, get_bytes, key_of, put_json
from sluiceway.jobs.states import JobState
from sluiceway.spec import Job, load_job
from sluiceway.spec.document import is_job_id
from sluiceway.spec.mistakes import found
from sluiceway.steps.announcing import announce_job
from sluiceway.wiring import Services

ID_CHARS = 80


def start_export(services: Services, request: Any, execution: str, execution_name: str) -> dict[str, Any]:
    """`request` is the execution's input: `{"job": <document or {"bucket", "key"}>, "job_id"?}`. Raises JobIsLiveError
    if another execution owns the job, InvalidJobError for a wrong document, and what starting the export raises."""
    document = _read_document(services, request)
    job_id = _job_id(request, document, execution_name)
    job = document if isinstance(document, SluicewayError) else _judge(document, job_id)
    row = _take(services, job_id, execution, job, document)
    if row.ended:
        # A redriven execution: its job's end stands, and an export begun for it would be nobody's.
        raise NotOwnerError(row.over)
    if isinstance(job, SluicewayError):
        raise job
    put_json(services, row.document_key, job.model_dump_json(by_alias=True, exclude_defaults=True).encode())
    step = sources.start(services, job, row)
    if step.action != "READY":
        announce_job(services, services.jobs.change_state(row, JobState.EXPORTING))
    return {"job_id": job_id, "execution": execution, **step.told}


def _read_document(services: Services, request: Any) -> Any | SluicewayError:
    """The document, or what kept it from being read."""
    job = request.get("job") if isinstance(request, Mapping) else None
    if not isinstance(job, Mapping):
        return InvalidJobError([FieldError("job", found(job), "an object")])
    if job.keys() != {"bucket", "key"}:
        return job
    try:
        return json.loads(get_bytes(services, job["bucket"], job["key"]), object_pairs_hook=once)
    except SluicewayError as error:
        return error
    except (ValueError, RecursionError) as error:
        # The parser's text names line and column and does not quote the document.
        text = (
            str(error)
            if isinstance(error, json.JSONDecodeError | DoubledFieldError)
            else "bytes that are not UTF-8, or too many digits or levels"
        )
        return InvalidJobError([FieldError("job", f"not valid JSON: {text}")])


def _judge(document: Any, job_id: str) -> Job | SluicewayError:
    try:
        job = load_job(document, job_id)
        sources.check(job)
    except InvalidJobError as error:
        return error
    return job


def _take(services: Services, job_id: str, execution: str, job: Job | SluicewayError, document: Any) -> JobRow:
    destination = job.destination.model_dump() if isinstance(job, Job) else {}
    limits = job.limits.model_dump() if isinstance(job, Job) else {}
    token = document.get("task_token") if isinstance(document, Mapping) else None
    row = services.jobs.take(
        job_id,
        execution,
        document_key=key_of(job_id, DOCUMENT),
        destination=destination | {"bucket": destination.get("bucket") or services.config.landing_bucket},
        limits=limits | {"max_file_bytes": limits.get("max_file_bytes") or services.config.max_file_bytes},
        commit=job.commit if isinstance(job, Job) else "per-file",
        links_renewable=isinstance(job, Job) and sources.renews_links(job),
        task_token=token if isinstance(token, str) else None,
    )
    return announce_job(services, row)


def _job_id(request: Any, document: Any, execution_name: str) -> str:
    """The first valid id among the input's, the document's, and one made of the execution's name."""
    for holder in (request, document):
        if isinstance(holder, Mapping) and is_job_id(holder.get("job_id")):
            return str(holder["job_id"])
    name = re.sub(r"[^A-Za-z0-9._-]", "-", execution_name)[:ID_CHARS]
    return name if is_job_id(name) else f"job-{name}"[:ID_CHARS]
