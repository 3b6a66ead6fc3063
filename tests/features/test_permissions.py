"""Every AWS call that a function makes in the engine is one its role allows; the engine itself enforces no policy."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from local import synth
from local.calls import Call
from local.deployment import STACK
from local.engine import Engine
from tests.features.conftest import OTHER_BUCKET
from tests.features.world import World
from tests.support.iam_actions import needed
from tests.support.policies import Roles, allowed
from tests.support.source import Reply

BEGUN_SECONDS = 60
FUNCTIONS = {"start_export", "poll_export", "dispatch_files", "process_file", "record_failure", "complete_job"}


@pytest.fixture
def roles(engine: Engine, settings: dict[str, str]) -> Roles:
    resources = engine.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    # moto lists what it does not support without its ids.
    names = {
        each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources if "PhysicalResourceId" in each
    }
    return Roles(synth.template(settings), names)


def refused(roles: Roles, calls: Iterable[Call]) -> set[tuple[str, str, str]]:
    """(function, action, resource) of everything that no statement of the function's role allows."""
    statements = {folder: roles.of_function(folder) for folder in FUNCTIONS}
    return {
        (call.caller, action, resource)
        for call in calls
        for action, resource in needed(call)
        if not allowed(statements[call.caller], action, resource)
    }


def run_every_way(world: World) -> None:
    """Jobs that between them take every road a function has: started, polled, listed, landed whole and in parts,
    rejected, taken, recorded as failed, run again, stopped."""
    world.add_file("/small", 100)
    world.add_file("/large", 11_000_000)
    world.add_file("/bad", 11_000_000)
    world.add_file("/other", 10, bucket=OTHER_BUCKET)
    world.files["bad"].entry["sha256"] = "0" * 64
    world.document["destination"] = {"if_exists": "never", "tags": {"team": "data"}}
    world.run()
    world.run()
    world.run(exported(world))
    interrupted(world)


def exported(world: World) -> dict[str, object]:
    world.answer("/exports", Reply(json.dumps({"id": "e1"}).encode()))
    listed = {"state": "DONE", "files": [world.files["small"].entry["url"]]}
    world.answer("/exports/e1", Reply(json.dumps(listed).encode()))
    poll = {
        "url": world.url("/exports/e1"),
        "status": "state",
        "status_mapping": {"completed": ["DONE"]},
        "interval_seconds": 1,
    }
    start = {"url": world.url("/exports"), "json": {}}
    source = {"type": "http", "start": start, "poll": poll, "files": {"list": "files"}}
    return {"job_id": world.job_id, "source": source}


def interrupted(world: World) -> None:
    """A job with a child that failed uncaught, and then stopped by hand."""
    world.hold("small")
    world.hold("large")
    world.document["destination"] = {"prefix": "again/"}
    world.start()
    assert world.begun.wait(BEGUN_SECONDS)
    assert world.submitted is not None
    units = json.loads((world.landed / world.jobs.jobs_bucket / f"jobs/{world.job_id}/units.json").read_text())
    event = {
        "job_id": world.job_id,
        "execution": world.submitted.execution,
        "unit": units[0],
        "error": {"Error": "States.TaskFailed", "Cause": "tried out"},
    }
    functions = world.engine.client("lambda")
    (name,) = [
        each["FunctionName"]
        for each in functions.list_functions()["Functions"]
        if each["Handler"].startswith("record_failure.")
    ]
    functions.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    world.jobs.cancel(world.submitted)
    world.wait()
    world.release()


def test_every_call_of_a_function_is_allowed_by_its_role(world: World, roles: Roles, calls: list[Call]) -> None:
    before = len(calls)
    run_every_way(world)
    made = [call for call in calls[before:] if call.caller in FUNCTIONS]
    assert {call.caller for call in made} == FUNCTIONS
    actions = {(call.caller, action) for call in made for action, _ in needed(call)}
    assert {("process_file", "s3:AbortMultipartUpload"), ("complete_job", "events:PutEvents")} <= actions
    assert refused(roles, made) == set()


@pytest.mark.parametrize(
    ("caller", "method", "path"),
    [
        ("record_failure", "PUT", "/landing/a"),
        ("process_file", "PUT", "/jobs/jobs/x/report.jsonl"),
        ("process_file", "PUT", "/somebody-elses/a"),
        ("complete_job", "GET", "/landing/a"),
        ("dispatch_files", "DELETE", "/jobs/jobs/x/report.jsonl"),
    ],
)
def test_a_call_beyond_its_role_would_be_seen(roles: Roles, caller: str, method: str, path: str) -> None:
    (found,) = refused(roles, [Call(caller, "s3", method, path, "", {})])
    assert found[0] == caller
