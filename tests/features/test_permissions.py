"""Every AWS call that a function makes in the engine is one its role allows; the engine itself enforces no policy."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any

import pytest

from local import synth
from local.calls import Call, principal
from local.deployment import STACK
from local.engine import Engine
from sluiceway.landing.splitting import Split
from tests.features.conftest import OTHER_BUCKET, Calls
from tests.features.world import World
from tests.support.iam_actions import needed
from tests.support.policies import Roles, Statement, allowed
from tests.support.source import Reply, Request

MIB = 1024**2
BEGUN_SECONDS = 60
CALL_KEY = "key-shared-with-the-vendor"


@pytest.fixture
def template(settings: dict[str, str]) -> dict[str, Any]:
    return dict(synth.template(settings))


@pytest.fixture
def functions(template: dict[str, Any]) -> set[str]:
    """The folder of every function there is."""
    resources = template["Resources"].values()
    return {principal(each["Properties"]["Handler"]) for each in resources if each["Type"] == "AWS::Lambda::Function"}


@pytest.fixture
def roles(engine: Engine, template: dict[str, Any]) -> Roles:
    resources = engine.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    # moto lists what it does not support without its ids.
    names = {
        each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources if "PhysicalResourceId" in each
    }
    return Roles(template, names)


def refused(roles: Roles, calls: Iterable[Call]) -> set[tuple[str, str, str]]:
    """(function, action, resource) of everything that no statement of the function's role allows."""
    statements: dict[str, list[Statement]] = {}
    return {
        (call.caller, action, resource)
        for call in calls
        for action, resource in needed(call)
        if not allowed(statements.setdefault(call.caller, roles.of_function(call.caller)), action, resource)
    }


def run_every_way(world: World) -> None:
    """Jobs that between them take every road a function has: started, polled, called, listed, landed whole, in parts,
    in segments and all together, rejected, taken, recorded as failed, run again, stopped."""
    world.add_file("/small", 100)
    world.add_file("/large", 11_000_000)
    world.add_file("/bad", 11_000_000)
    world.add_file("/other", 10, bucket=OTHER_BUCKET)
    world.files["bad"].entry["sha256"] = "0" * 64
    world.document["destination"] = {"if_exists": "never", "tags": {"team": "data"}}
    world.run()
    world.run()
    document = exported(world)
    world.run(document)
    assert world.run(called(world, document)).state == "COMPLETED"
    assert world.run(in_segments(world)).counts.stored == 1
    assert world.run(all_together(world)).counts.stored == 2
    interrupted(world)
    invoke(world, "count_stale_uploads", {})


def exported(world: World) -> dict[str, Any]:
    world.answer("/exports", Reply(json.dumps({"id": "e1"}).encode()))
    world.answer("/guarded", Reply(b"guarded"))
    listed = {"state": "DONE", "files": [world.url("/guarded")]}
    world.answer("/exports/e1", Reply(json.dumps(listed).encode()))
    poll = {
        "url": world.url("/exports/e1"),
        "status": "state",
        "status_mapping": {"completed": ["DONE"]},
        "interval_seconds": 1,
    }
    start = {"url": world.url("/exports"), "json": {}}
    world.answer("/token", Reply(json.dumps({"access_token": "t0ken", "expires_in": 300}).encode()))
    secret = world.put_secret(json.dumps({"client_id": "me", "client_secret": "s3cret"}), "keys/")
    auth = {"type": "oauth2", "secret": secret, "token_url": world.url("/token")}
    source = {"type": "http", "start": start, "poll": poll, "files": {"list": "files"}, "auth": auth,
              "download": {"auth": "inherit"}}  # fmt: skip
    return {"job_id": world.job_id, "source": source}


def called(world: World, document: dict[str, Any]) -> dict[str, Any]:
    """The same export, for whose end the vendor calls before it has answered; an earlier call of a stranger's fails."""
    source: dict[str, Any] = document["source"]

    def start(request: Request) -> Reply:
        url = json.loads(request.body)["notify"]
        assert (ring(url, "a stranger's key"), ring(url, CALL_KEY)) == (403, 202)
        return Reply(json.dumps({"id": "e1"}).encode())

    world.answer("/exports", start)
    source["start"]["json"] = {"notify": "{{ callback:url }}"}
    source |= {"wait": "callback", "callback": {"secret": world.put_secret(CALL_KEY)}}
    return document


def ring(url: str, key: str) -> int:
    signature = hmac.new(key.encode(), b"done", hashlib.sha256).hexdigest()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, b"done", {"X-Signature": signature})) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def in_segments(world: World) -> dict[str, Any]:
    """The large file, by several functions: its source honours ranges, with a strong validator."""
    body = world.files["large"].body.read()

    def answer(request: Request) -> Reply:
        headers = {"ETag": '"strong"', "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if asked is None:
            return Reply(body, headers=headers)
        start, end = int(asked[1]), int(asked[2] or len(body) - 1)
        piece = body[start : end + 1]
        span = f"bytes {start}-{start + len(piece) - 1}/{len(body)}"
        return Reply(piece, 206, headers | {"Content-Range": span})

    world.answer("/large", answer)
    entry = {"url": world.url("/large"), "key": f"{world.job_id}/in-segments", "split": "crc"}
    return {"job_id": f"{world.job_id}-split", "source": {"type": "urls", "files": [entry]}}


def all_together(world: World) -> dict[str, Any]:
    files = [world.url("/small"), world.url("/large")]
    return {
        "job_id": f"{world.job_id}-together",
        "source": {"type": "urls", "files": files},
        "destination": {"prefix": "together/"},
        "commit": "all-or-nothing",
    }


def interrupted(world: World) -> None:
    """A job with a child that failed uncaught and others that wanted more memory, and then stopped by hand."""
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
    invoke(world, "record_failure", event)
    invoke(world, "process_file_large", event)
    split = Split("upload", "attempt", '"strong"', 11_000_000, 5 * MIB, 5 * MIB, 3, large=True)
    invoke(world, "move_segment_large", {**event, "execution": "another", "split": split.to_dict(), "n": 0})
    world.jobs.cancel(world.submitted)
    world.wait()
    world.release()


def invoke(world: World, folder: str, event: dict[str, Any]) -> None:
    client = world.engine.client("lambda")
    (name,) = [
        each["FunctionName"] for each in client.list_functions()["Functions"] if principal(each["Handler"]) == folder
    ]
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    assert "FunctionError" not in answer, answer["Payload"].read()


def test_every_call_of_a_function_is_allowed_by_its_role(
    world: World, roles: Roles, calls: Calls, functions: set[str]
) -> None:
    before = len(calls)
    calls.conflicts.append(f"/{world.engine.outputs['LandingBucket']}/together{world.path('/large')}")
    run_every_way(world)
    made = [call for call in calls[before:] if call.caller in functions]
    assert {call.caller for call in made} == functions
    actions = {(call.caller, action) for call in made for action, _ in needed(call)}
    assert {("process_file", "s3:AbortMultipartUpload"), ("complete_job", "events:PutEvents")} <= actions
    assert {("process_file", "lambda:InvokeFunction"), ("issue_token", "secretsmanager:GetSecretValue")} <= actions
    assert any((call.caller, call.method) == ("commit_files", "PUT") and "/work/" in call.path for call in made)
    # Which keys a DeleteObjects names stands in its body: tests/infra holds the role against the folder.
    deleted = {("complete_job", "s3:DeleteObject", f"arn:aws:s3:::{world.jobs.jobs_bucket}/*")}
    assert refused(roles, made) == deleted


@pytest.mark.parametrize(
    ("caller", "method", "path"),
    [
        ("record_failure", "PUT", "/landing/a"),
        ("process_file", "PUT", "/jobs/jobs/x/report.jsonl"),
        ("process_file", "PUT", "/somebody-elses/a"),
        ("complete_job", "PUT", "/landing/a"),
        ("record_failure", "GET", "/landing/a"),
        ("dispatch_files", "DELETE", "/jobs/jobs/x/report.jsonl"),
    ],
)
def test_a_call_beyond_its_role_would_be_seen(roles: Roles, caller: str, method: str, path: str) -> None:
    (found,) = refused(roles, [Call(caller, "s3", method, path, "", {})])
    assert found[0] == caller


def test_complete_job_may_ask_whose_object_stands(roles: Roles) -> None:
    assert refused(roles, [Call("complete_job", "s3", "HEAD", "/landing/a", "", {})]) == set()


@pytest.mark.parametrize(("caller", "may"), [("process_file", False), ("issue_token", True)])
def test_who_moves_files_may_read_secrets_but_no_key(roles: Roles, caller: str, may: bool) -> None:
    def asked(name: str) -> Call:
        headers = {"x-amz-target": "secretsmanager.GetSecretValue"}
        return Call(caller, "secretsmanager", "POST", "/", "", headers, json.dumps({"SecretId": name}).encode())

    assert refused(roles, [asked("sluiceway/a")]) == set()
    assert (refused(roles, [asked("sluiceway/keys/a")]) == set()) is may
