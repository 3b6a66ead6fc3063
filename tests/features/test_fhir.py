"""Feature: FHIR servers speak Bulk Data Access."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_bdd import given, parsers, scenarios, then, when

from tests.features.world import World
from tests.support.fhir import CLIENT, FhirServer, new_key
from tests.support.source import Reply
from tests.support.waiting import wait_until

scenarios("fhir.feature")


@pytest.fixture
def asked() -> dict[str, Any]:
    """What the job says beside the server's address."""
    return {}


@given("a FHIR server with Bulk Data Access", target_fixture="server")
def _(world: World) -> FhirServer:
    return FhirServer(world.source, path=world.path("/fhir"), polls=[Reply(b"", 202, {"Retry-After": "1"})])


@given(parsers.parse("the server knows the job's {alg:w} key and guards its files"))
def _(world: World, server: FhirServer, asked: dict[str, Any], alg: str) -> None:
    server.key, server.guarded = new_key(alg), True
    secret = json.dumps({"client_id": CLIENT, "key": server.key.as_dict(private=True)})
    asked["auth"] = {"type": "smart", "secret": world.put_secret(secret, "keys/")}


@given(parsers.parse("the server counts {rows:d} rows in {name:w}"))
def _(server: FhirServer, rows: int, name: str) -> None:
    server.counts[name] = rows


@given("the server's tokens have expired when the first file is asked for")
def _(server: FhirServer) -> None:
    server.expires_at_files = True


@given("the server's export never ends")
def _(server: FhirServer) -> None:
    server.polls = [Reply(b"", 202, {"Retry-After": "1"})] * 1000


@when("a job lands its export")
def _(world: World, server: FhirServer, asked: dict[str, Any]) -> None:
    world.run(document(world, server, asked))


@when("a job of it is started and then stopped")
def _(world: World, server: FhirServer, asked: dict[str, Any]) -> None:
    world.start(document(world, server, asked))
    wait_until(lambda: bool(world.asked("/fhir/bulkstatus/1")))
    assert world.submitted is not None
    world.jobs.cancel(world.submitted)


@then("these FHIR files are stored")
def _(world: World, datatable: list[list[str]]) -> None:
    wanted = {f"{world.job_id}/{name}" for (name,) in datatable}
    assert {key for key, line in world.report().items() if line["status"] == "STORED"} == wanted


@then("the export was deleted at the server")
def _(server: FhirServer) -> None:
    assert server.deleted == 1


@then("every request but those for the token carried one")
def _(world: World, server: FhirServer) -> None:
    free = (f"{server.path}/token", f"{server.path}/.well-known/smart-configuration")
    carried = [
        request.headers.get("Authorization", "").removeprefix("Bearer ")
        for request in world.source.requests
        if request.path.startswith(server.path) and request.path not in free
    ]
    assert carried and set(carried) <= set(server.tokens)


@then("a file was refused and had with another token")
def _(server: FhirServer) -> None:
    assert server.refused and server.revoked < set(server.tokens)


@then("no token and no key is in anything that was kept")
def _(world: World, server: FhirServer) -> None:
    assert server.key is not None
    secrets = [*server.tokens, str(server.key.as_dict(private=True)["d"])]
    assert world.submitted is not None
    history = world.jobs.stepfunctions.get_execution_history(executionArn=world.submitted.execution)
    folder, logs = world.output("."), sorted(world.engine.logs.rglob("*.log"))
    files = [*(path for path in folder.rglob("*") if path.is_file()), *logs]
    assert folder.is_dir() and any("IssueToken" in path.name for path in logs)
    kept = [json.dumps(world.rows()), json.dumps(history, default=str), *(path.read_text() for path in files)]
    assert not [secret for secret in secrets if any(secret in text for text in kept)]


@then(parsers.parse("{name} is REJECTED because of DigestMismatchError"))
def _(world: World, name: str) -> None:
    line = world.report()[f"{world.job_id}/{name}"]
    assert (line["status"], line["error"]["type"]) == ("REJECTED", "DigestMismatchError")


def document(world: World, server: FhirServer, asked: dict[str, Any]) -> dict[str, Any]:
    source = {"type": "fhir-bulk", "base_url": server.url(), "interval_seconds": 1, **asked}
    return {"job_id": world.job_id, "source": source, "destination": {"prefix": f"{world.job_id}/"}}
