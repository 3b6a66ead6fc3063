"""What an execution is given: documents with mistakes, inputs that are no job, and pointers to documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluiceway.errors import InvalidJobError, SinkError
from tests.adapters.handlers.small_jobs import JOB, document
from tests.support.deployment import Deployment
from tests.support.source import SourceServer


def test_the_documents_mistakes_end_the_job_with_its_outputs(deployment: Deployment) -> None:
    answer = deployment.run({"job_id": JOB, "source": {"type": "urls"}, "limits": {"max": 1}})
    assert answer["status"] == "FAILED"
    error = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]
    assert error["type"] == "InvalidJobError"
    assert "source.files: expected a value" in error["message"] and "limits.max: unknown field" in error["message"]


@pytest.mark.parametrize(
    ("request_", "error"),
    [({}, InvalidJobError), ([], InvalidJobError), ({"job": 5}, InvalidJobError)],
)
def test_an_input_that_is_no_job_fails_under_the_executions_name(
    deployment: Deployment, request_: Any, error: type[Exception]
) -> None:
    execution = deployment.new_execution()
    with pytest.raises(error):
        deployment.invoke("start_export", {"input": request_, "execution": execution, "execution_name": "my:run"})
    assert deployment.invoke("complete_job", {"execution": execution})["job_id"] == "my-run"


@pytest.mark.parametrize(
    ("body", "error"),
    [(b"{", InvalidJobError), (b"\xff", InvalidJobError), (b"[]", InvalidJobError), (None, SinkError),
     (b'{"source": ' + b"[" * 100_000, InvalidJobError), (b'{"limits": ' + b"9" * 5000 + b"}", InvalidJobError)],
    ids=["cut off", "not UTF-8", "a list", "absent", "too deep", "too many digits"],
)  # fmt: skip
def test_a_pointer_to_no_document_fails_the_job(
    deployment: Deployment, body: bytes | None, error: type[Exception]
) -> None:
    if body is not None:
        deployment.client("s3").put_object(Bucket=deployment.jobs_bucket, Key="requests/x", Body=body)
    execution = deployment.new_execution()
    pointer = {"bucket": deployment.jobs_bucket, "key": "requests/x"}
    with pytest.raises(error):
        deployment.start(pointer, execution, job_id=JOB)
    answer = deployment.invoke(
        "complete_job", {"execution": execution, "error": {"Error": error.__name__, "Cause": ""}}
    )
    assert (answer["job_id"], answer["status"]) == (JOB, "FAILED")


def test_a_field_that_stands_twice_in_a_document_is_named(deployment: Deployment) -> None:
    body = b'{"source": {"type": "urls", "files": []}, "commit": "per-file", "commit": "all-or-nothing"}'
    deployment.client("s3").put_object(Bucket=deployment.jobs_bucket, Key="requests/x", Body=body)
    pointer = {"bucket": deployment.jobs_bucket, "key": "requests/x"}
    with pytest.raises(InvalidJobError, match="job: not valid JSON: the field 'commit' twice in one object"):
        deployment.start(pointer, deployment.new_execution(), job_id=JOB)


def test_a_pointer_to_a_document_is_followed(deployment: Deployment, source: SourceServer) -> None:
    body = json.dumps(document(source)).encode()
    deployment.client("s3").put_object(Bucket=deployment.jobs_bucket, Key="requests/x", Body=body)
    answer = deployment.run({"bucket": deployment.jobs_bucket, "key": "requests/x"})
    assert (answer["job_id"], answer["status"]) == (JOB, "COMPLETED")


def test_two_files_with_one_target_are_refused_before_any_transfer(
    deployment: Deployment, source: SourceServer
) -> None:
    files = [f"{source.url('/0.csv')}?a=planted", {"url": source.url("/1.csv"), "key": "0.csv"}]
    answer = deployment.run({"job_id": JOB, "source": {"type": "urls", "files": files}})
    assert (answer["status"], source.requests, deployment.landed()) == ("FAILED", [], {})
    error = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]
    assert error["type"] == "DuplicateTargetError"
    assert f"{source.url('/0.csv')}?redacted (file 1) and {source.url('/1.csv')} (file 2)" in error["message"]
