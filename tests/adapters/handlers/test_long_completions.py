"""Jobs whose end outlasts an invocation: completed in many, to the same outputs as in one."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from sluiceway.errors import NoProgressError
from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps import completing
from sluiceway.steps.completing import complete_job
from sluiceway.steps.dispatching import dispatch_files
from tests.adapters.handlers.long_lists import (
    JOB,
    PLENTY,
    begin,
    complete,
    dispatch,
    dispatched,
    listed,
    looks,
    objects,
)
from tests.support.deployment import Deployment
from tests.support.source import Body, Reply, SourceServer

pytestmark = pytest.mark.usefixtures("small_blocks")

OUTPUTS = ("report.jsonl", "failed.jsonl", "SHA256SUMS")


def work(deployment: Deployment) -> list[str]:
    found = deployment.client("s3").list_objects_v2(Bucket=deployment.jobs_bucket).get("Contents", [])
    return [each["Key"] for each in found if "/work/" in each["Key"]]


def test_what_cannot_be_cut_begins_in_the_first_half_or_in_the_next_invocation(
    deployment: Deployment, source: SourceServer
) -> None:
    def half_gone() -> TimeLeft:
        """By the time the whole list has been read; never over."""
        return TimeLeft(PLENTY, count().__next__, half_at=5)

    owner = begin(deployment, listed(source, JOB))
    first = dispatch_files(deployment.services, JOB, owner["execution"], half_gone())
    assert (first["action"], first["files"]) == ("CONTINUE", 20)
    second = dispatch_files(deployment.services, JOB, owner["execution"], half_gone(), first["draft_key"])
    assert (second["action"], second["files"]) == ("TRANSFER", 20)

    ended = [complete_job(deployment.services, owner, half_gone())]
    assert (ended[0]["action"], ended[0]["files"]["failed"]) == ("CONTINUE", 20)
    ended.append(complete_job(deployment.services, ended[0], half_gone()))
    assert (ended[1]["action"], ended[1]["files"]) == ("DONE", ended[0]["files"])


def test_two_invocations_that_do_nothing_fail(deployment: Deployment, source: SourceServer) -> None:
    owner = begin(deployment, listed(source, JOB))
    with pytest.raises(NoProgressError):
        dispatch(deployment, owner, 0)
    with pytest.raises(NoProgressError):
        complete(deployment, dispatched(deployment, owner), 0)
    assert not deployment.jobs.get(JOB).ended


@pytest.fixture
def landed(deployment: Deployment, source: SourceServer) -> dict[str, dict[str, str]]:
    """Two jobs of the same files, all of which came to an end of their own but two."""
    owners = {}
    for job_id in ("whole-1", "cut-1"):
        files = []
        for n in range(11):
            source.replies[f"/f{n}"] = Reply(Body(100 + n, seed=n)) if n % 4 else Reply(b"", 404)
            files.append({"url": source.url(f"/f{n}"), "key": f"f{n:02}", "size": 100 + n})
        owner = dispatched(
            deployment, begin(deployment, {"job_id": job_id, "source": {"type": "urls", "files": files}})
        )
        (unit,) = json.loads(deployment.read(f"jobs/{job_id}/units.json"))
        lines = deployment.read(f"jobs/{job_id}/manifest.jsonl").splitlines(keepends=True)
        deployment.process(owner, {**unit, "length": sum(map(len, lines[:9])), "count": 9})
        owners[job_id] = owner
    return owners


def steady(report: bytes) -> list[dict[str, Any]]:
    """The report without what differs from run to run."""
    seconds = ("seconds", "source_wait_seconds", "sink_wait_seconds", "hash_seconds", "peak_memory_bytes", "pool_waits")
    return [{k: v for k, v in json.loads(line).items() if k not in seconds} for line in report.splitlines()]


@pytest.mark.parametrize("twice", [False, True])
def test_a_job_completed_in_many_invocations_has_the_same_outputs(
    deployment: Deployment, landed: dict[str, dict[str, str]], twice: bool
) -> None:
    (once,) = complete(deployment, landed["whole-1"], PLENTY)
    many = complete(deployment, landed["cut-1"], 2, twice=twice)

    assert len(many) > 4
    assert (once["status"], once["files"]) == (many[-1]["status"], many[-1]["files"])
    assert once["files"] == {"stored": 6, "skipped": 0, "rejected": 0, "failed": 5, "cancelled": 0}
    whole, cut = (objects(deployment, job_id, *OUTPUTS, "summary.json") for job_id in ("whole-1", "cut-1"))
    assert steady(cut["report.jsonl"]) == steady(whole["report.jsonl"]) and len(steady(cut["report.jsonl"])) == 11
    assert cut["failed.jsonl"] == whole["failed.jsonl"] and cut["SHA256SUMS"] == whole["SHA256SUMS"]
    assert json.loads(cut["summary.json"])["files"] == once["files"]
    assert (deployment.unfinished_uploads(), work(deployment)) == ([], [])


def test_a_block_is_not_read_on_when_time_is_over(
    deployment: Deployment, landed: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completing, "BATCH_KEYS", 1)
    first = complete_job(deployment.services, landed["cut-1"], looks(1))
    assert (first["action"], sum(first["files"].values())) == ("CONTINUE", 0)

    (*_, last) = complete(deployment, first, 4)

    assert last["files"] == {"stored": 6, "skipped": 0, "rejected": 0, "failed": 5, "cancelled": 0}
    assert len(deployment.lines("cut-1", "report.jsonl")) == 11


def test_an_upload_that_a_killed_invocation_left_is_gone_at_the_end(
    deployment: Deployment, landed: dict[str, dict[str, str]]
) -> None:
    s3 = deployment.client("s3")
    s3.create_multipart_upload(Bucket=deployment.jobs_bucket, Key="jobs/cut-1/report.jsonl")
    s3.create_multipart_upload(Bucket=deployment.jobs_bucket, Key="jobs/cut-10/report.jsonl")
    complete(deployment, landed["cut-1"], 2)
    assert deployment.unfinished_uploads() == ["jobs/cut-10/report.jsonl"]


def test_what_the_first_invocation_found_holds_for_all(
    deployment: Deployment, landed: dict[str, dict[str, str]]
) -> None:
    failed = {**landed["cut-1"], "error": {"Error": "States.Runtime", "Cause": "broken"}}
    answers = [complete_job(deployment.services, failed, looks(2))]
    # Asked to stop too late: half of the files without an end have failed by then.
    deployment.jobs.request_cancel("cut-1")
    answers += complete(deployment, answers[-1], 2)
    assert answers[-1]["status"] == "FAILED" and answers[-1]["files"]["cancelled"] == 0
    assert deployment.jobs.get("cut-1").error == {"type": "States.Runtime", "message": "broken"}


def test_a_stopped_execution_is_completed_by_a_function_that_calls_itself(
    deployment: Deployment, landed: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[TimeLeft] = []

    def two_looks(_: int) -> TimeLeft:
        given.append(looks(2))
        return given[-1]

    monkeypatch.setattr(TimeLeft, "of", two_looks)
    detail = {"executionArn": landed["cut-1"]["execution"], "status": "ABORTED"}
    deployment.invoke("complete_job", {"detail-type": "Step Functions Execution Status Change", "detail": detail})
    assert deployment.jobs.get("cut-1").state == "CANCELLED"
    assert len(given) > 4
    assert len(deployment.lines("cut-1", "report.jsonl")) == 11
