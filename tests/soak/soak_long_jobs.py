"""Jobs whose list and whose end outlast an invocation, through the whole engine: the state machine invokes
DispatchFiles and CompleteJob again, and CompleteJob invokes itself where no state machine is left.

The source takes its time for every page of a list, the table for every transaction of CompleteJob.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from cli.jobs import JobsClient, JobView, Submitted
from cli.watch import Watch
from local import synth
from local.calls import Call
from local.deployment import STACK
from local.engine import Engine
from sluiceway.aws.table import JobTable
from sluiceway.sink.storage import list_keys
from tests.faults.kills import Killer
from tests.support.iam_actions import needed
from tests.support.policies import Roles, allowed
from tests.support.source import Reply, Request, SourceServer
from tests.support.waiting import wait_until

SETTINGS = {"control_timeout_seconds": "4"}
# Of the 4 s, 3.2 are there to work in: the list takes two invocations, and so do the transactions, one a shard.
PAGES, PAGE_FILES, PAGE_SECONDS = 12, 20, 0.3
TRANSACTION_SECONDS = 0.3
RELAYED = ("dispatch_files", "complete_job")


@dataclass
class Listener:
    """Every call of a function passes here before it is served."""

    killer: Killer = field(default_factory=Killer)
    ending: int = 0
    calls: list[Call] = field(default_factory=list[Call])

    def __call__(self, call: Call) -> None:
        self.killer.on_call(call)
        if call.caller in RELAYED:
            self.calls.append(call)
        if call.caller == "complete_job" and call.headers.get("x-amz-target", "").endswith("TransactWriteItems"):
            self.ending += 1
            time.sleep(TRANSACTION_SECONDS)


@dataclass
class World:
    engine: Engine
    source: SourceServer
    listener: Listener
    jobs: JobsClient
    page_seconds: float = 0.0

    def start(self) -> tuple[str, Submitted]:
        """A job that is cancelled from its beginning: it is listed, and CompleteJob ends every one of its files."""
        job_id = f"long-{uuid.uuid4().hex[:8]}"
        self.source.replies |= {"/exports": Reply(b"{}"), "/list": self._page}
        request = {"url": self.source.url("/list")}
        fields = {"list": "items", "url": "url", "size": "bytes", "pagination": {"next": "next"}}
        files = {"request": request, **fields}
        api = {"type": "http", "start": {"url": self.source.url("/exports")}, "files": files}
        submitted = self.jobs.submit({"job_id": job_id, "source": api})
        wait_until(lambda: self.jobs.read(job_id) is not None)
        JobTable(self.jobs.dynamodb, self.jobs.jobs_table).request_cancel(job_id)
        return job_id, submitted

    def _page(self, request: Request) -> Reply:
        number = int(request.path.partition("p=")[2] or 0)
        time.sleep(self.page_seconds)
        following = {"next": f"/list?p={number + 1}"} if number + 1 < PAGES else {}
        # So small that they share two functions.
        items = [{"url": f"/file-{number * PAGE_FILES + n:05}", "bytes": 10} for n in range(PAGE_FILES)]
        return Reply(json.dumps({"items": items, **following}).encode())

    def entered(self, submitted: Submitted, state: str) -> int:
        pages = self.jobs.stepfunctions.get_paginator("get_execution_history").paginate(
            executionArn=submitted.execution
        )
        events = [event for page in pages for event in page["events"]]
        return sum(event.get("stateEnteredEventDetails", {}).get("name") == state for event in events)

    def check_end(self, job_id: str, view: JobView) -> None:
        assert view.state == "CANCELLED"
        keys = [line["key"] for line in self.jobs.read_report(job_id)]
        assert keys == [f"file-{n:05}" for n in range(PAGES * PAGE_FILES)]
        summary = self.jobs.read_summary(job_id)
        assert summary is not None and summary["files"]["cancelled"] == len(keys)
        bucket = self.jobs.jobs_bucket
        assert self.jobs.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
        # The last thing a job does, after its end was told.
        wait_until(lambda: not list(list_keys(self.jobs.s3, bucket, f"jobs/{job_id}/work/")))


@pytest.fixture(scope="module")
def served() -> Iterator[SourceServer]:
    with SourceServer() as server:
        yield server


@pytest.fixture(scope="module")
def listener() -> Listener:
    return Listener()


@pytest.fixture(scope="module")
def settings(served: SourceServer) -> dict[str, str]:
    return {**SETTINGS, "allowed_sources": served.host}


@pytest.fixture(scope="module")
def engine(settings: dict[str, str], listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    landed = tmp_path_factory.mktemp("landed")
    with Engine(landed, settings=settings, on_call=listener) as engine:
        listener.killer.engine = engine
        yield engine


@pytest.fixture
def world(engine: Engine, served: SourceServer, listener: Listener) -> World:
    engine.reports.clear()
    listener.ending = 0
    jobs = JobsClient(
        s3=engine.client("s3"),
        dynamodb=engine.client("dynamodb"),
        stepfunctions=engine.client("stepfunctions"),
        jobs_bucket=engine.outputs["JobsBucket"],
        jobs_table=engine.outputs["JobsTable"],
        state_machine_arn=engine.outputs["StateMachineArn"],
    )
    return World(engine, served, listener, jobs)


def test_the_state_machine_invokes_again_whoever_is_not_done(world: World) -> None:
    def checkpoint(call: Call) -> bool:
        return call.caller == "dispatch_files" and call.method == "PUT" and call.path.endswith("/checkpoint.json")

    world.listener.killer.at_call(checkpoint)
    world.page_seconds = PAGE_SECONDS
    job_id, submitted = world.start()
    (*_, view) = Watch(world.jobs, look_seconds=0.1).follow(submitted)

    world.check_end(job_id, view)
    assert world.listener.killer.killed == ["dispatch_files"]
    assert world.entered(submitted, "DispatchFiles") >= 2
    assert world.entered(submitted, "CompleteJob") >= 2
    outcomes = [report.outcome for report in world.engine.reports]
    assert (outcomes.count("Runtime.ExitError"), set(outcomes)) == (1, {"ok", "Runtime.ExitError"})


def test_a_stopped_job_is_ended_by_complete_job_invoking_itself(world: World) -> None:
    job_id, submitted = world.start()
    wait_until(lambda: world.listener.ending > 0)
    before = len(world.engine.reports)
    world.jobs.stepfunctions.stop_execution(executionArn=submitted.execution)
    (*_, view) = Watch(world.jobs, look_seconds=0.1).follow(submitted)

    world.check_end(job_id, view)
    assert world.entered(submitted, "CompleteJob") == 1
    # The one that was stopped, the one the event invoked, and at least one that it invoked itself.
    ended = [report.outcome for report in world.engine.reports[before:]]
    assert len(ended) >= 3 and ended.count("ok") >= 2


def test_what_they_called_is_what_their_roles_allow(world: World, settings: dict[str, str]) -> None:
    """After the tests above: going on, going on alone, and clearing up."""
    resources = world.engine.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    # moto lists what it does not support without its ids.
    names = {
        each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources if "PhysicalResourceId" in each
    }
    roles = Roles(synth.template(settings), names)
    statements = {folder: roles.of_function(folder) for folder in RELAYED}
    asked = {(call.caller, *each) for call in world.listener.calls for each in needed(call)}
    # Which keys a DeleteObjects names stands in its body: tests/infra holds the role against the folder.
    deleted = {each for each in asked if each[1] == "s3:DeleteObject"}
    asked -= deleted
    assert {caller for caller, _, _ in deleted} == {"complete_job"}
    assert ("complete_job", "lambda:InvokeFunction") in {(caller, action) for caller, action, _ in asked}
    assert [each for each in asked if not allowed(statements[each[0]], each[1], each[2])] == []
