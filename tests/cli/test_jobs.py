"""What a submission leaves in the jobs bucket, and what a view tells of a job."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.jobs import JobsClient

BUCKET = "jobs"


@dataclass
class Objects:
    """S3, as far as a submission needs it."""

    kept: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def put_object(self, *, Bucket: str, Key: str, Body: Any) -> None:
        assert Bucket == BUCKET
        self.kept[Key] = Body if isinstance(Body, bytes) else Body.read()


@dataclass
class Executions:
    """Step Functions, as far as a submission needs it."""

    started: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, str]:
        self.started.append(json.loads(input))
        return {"executionArn": f"{stateMachineArn}:{name}"}


def client(s3: Any = None, stepfunctions: Any = None, dynamodb: Any = None) -> JobsClient:
    return JobsClient(s3, dynamodb, stepfunctions, jobs_bucket=BUCKET, jobs_table="table", state_machine_arn="arn")


def test_a_list_that_was_submitted_is_not_replaced_by_a_later_one_of_the_same_id_and_name(tmp_path: Path) -> None:
    s3, executions = Objects(), Executions()
    for folder, text in (("da", "https://example.org/a"), ("db", "https://example.org/b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "list.txt").write_text(text)
        document = {"job_id": "mx", "source": {"type": "manifest", "location": "list.txt"}}
        client(s3, executions).submit(document, tmp_path / folder / "list.txt")

    lists = []
    for started in executions.started:
        assert (started["job_id"], started["job"]["bucket"]) == ("mx", BUCKET)
        location = json.loads(s3.kept[started["job"]["key"]])["source"]["location"]
        assert location.startswith(f"s3://{BUCKET}/requests/mx-") and location.endswith("-list.txt")
        lists.append(s3.kept[location.removeprefix(f"s3://{BUCKET}/")])
    assert lists == [b"https://example.org/a", b"https://example.org/b"]


def test_a_job_that_has_no_list_here_is_submitted_as_it_is() -> None:
    s3, executions = Objects(), Executions()
    document = {"job_id": "mine", "source": {"type": "urls", "files": ["https://example.org/a"]}}
    client(s3, executions).submit(document)
    ((key, kept),) = s3.kept.items()
    assert (json.loads(kept), executions.started[0]["job"]["key"]) == (document, key)
