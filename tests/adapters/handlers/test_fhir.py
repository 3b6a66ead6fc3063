"""FHIR Bulk Data Access against a server that follows the specification's examples."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.deployment import Deployment
from tests.support.fhir import CLIENT, FhirServer, Key, ndjson, new_key
from tests.support.source import Reply, SourceServer

JOB = "fhir-1"
LANDED = {
    "Patient-1.ndjson": ndjson("Patient", 3),
    "Patient-2.ndjson": ndjson("Patient", 2),
    "Observation-1.ndjson": ndjson("Observation", 5),
    "deleted/Bundle-1.ndjson": ndjson("Bundle", 1),
    "error/OperationOutcome-1.ndjson": ndjson("OperationOutcome", 1),
}


def job(server: FhirServer, **more: Any) -> dict[str, Any]:
    return {"job_id": JOB, "source": {"type": "fhir-bulk", "base_url": server.url(), **more}}


def put_key(deployment: Deployment, key: Key, name: str = "sluiceway/keys/fhir", **more: Any) -> dict[str, Any]:
    client, text = (
        deployment.client("secretsmanager"),
        json.dumps({"client_id": CLIENT, "key": key.as_dict(private=True), **more}),
    )
    try:
        client.create_secret(Name=name, SecretString=text)
    except client.exceptions.ResourceExistsException:
        client.put_secret_value(SecretId=name, SecretString=text)
    return {"type": "smart", "secret": name}


def error_of(deployment: Deployment) -> dict[str, str]:
    found: dict[str, str] = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]
    return found


def test_every_list_of_the_manifest_and_its_pages_lands_and_the_export_is_deleted(
    deployment: Deployment, source: SourceServer
) -> None:
    server = FhirServer(source, polls=[
        Reply(b"", 202, {"X-Progress": "Build in progress - Status set to BUILDING", "Retry-After": "120"}),
        Reply(b"", 429, {"Retry-After": "5"}),
        FhirServer.outcome("transient", 500),
    ])  # fmt: skip

    assert deployment.run(job(server))["status"] == "COMPLETED"

    assert deployment.landed() == LANDED
    assert server.deleted == 1
    kicked = source.requests[0]
    assert (kicked.method, urlsplit(kicked.path).path) == ("GET", "/fhir/$export")
    assert parse_qs(urlsplit(kicked.path).query) == {"_outputFormat": ["application/fhir+ndjson"]}


def test_the_server_is_heard_when_it_asks_to_wait_and_says_how_far_it_is(
    deployment: Deployment, source: SourceServer
) -> None:
    server = FhirServer(source, polls=[Reply(b"", 202, {"X-Progress": "43 %", "Retry-After": "120"})])
    execution = deployment.new_execution()
    deployment.start(job(server), execution)
    answer = deployment.invoke("poll_export", {"job_id": JOB, "execution": execution})
    assert (answer["action"], answer["wait_seconds"]) == ("POLL", 120)
    assert deployment.jobs.get(JOB).export_progress == "43 %"


@pytest.mark.parametrize(
    ("asked", "path", "query"),
    [
        ({"level": "patient"}, "/fhir/Patient/$export", {}),
        ({"level": "group", "group": "g1"}, "/fhir/Group/g1/$export", {}),
        ({"types": ["Patient", "Observation"]}, "/fhir/$export", {"_type": "Patient,Observation"}),
        ({"since": "2020-01-01T00:00:00Z"}, "/fhir/$export", {"_since": "2020-01-01T00:00:00Z"}),
        ({"type_filters": ["MedicationRequest?status=active"]}, "/fhir/$export",
         {"_typeFilter": "MedicationRequest?status=active"}),
        ({"output_format": None}, "/fhir/$export", {"_outputFormat": None}),
    ],
)  # fmt: skip
def test_the_kick_off_asks_for_what_the_job_says(
    deployment: Deployment, source: SourceServer, asked: dict[str, Any], path: str, query: dict[str, str | None]
) -> None:
    assert deployment.run(job(FhirServer(source), **asked))["status"] == "COMPLETED"
    kicked = urlsplit(source.requests[0].path)
    wanted = {"_outputFormat": "application/fhir+ndjson", **query}
    assert (kicked.path, parse_qs(kicked.query)) == (path, {k: [v] for k, v in wanted.items() if v is not None})


@pytest.mark.parametrize("alg", ["ES384", "RS384"])
@pytest.mark.parametrize("guarded", [True, False])
def test_smart_backend_services_signs_for_a_token_and_sends_it_where_the_manifest_says(
    deployment: Deployment, source: SourceServer, alg: str, guarded: bool
) -> None:
    key = new_key(alg)
    server = FhirServer(source, key=key, guarded=guarded)

    assert deployment.run(job(server, auth=put_key(deployment, key)))["status"] == "COMPLETED"

    assert deployment.landed() == LANDED
    files = [request for request in source.requests if "/output/" in request.path]
    assert {"Authorization" in request.headers for request in files} == {guarded}
    assert (len(server.tokens), server.deleted) == (1, 1)
    kept = json.dumps(deployment.rows()) + json.dumps(deployment.events())
    assert server.tokens[0] not in kept + deployment.read(f"jobs/{JOB}/report.jsonl").decode()


def test_a_token_is_renewed_before_it_expires(deployment: Deployment, source: SourceServer) -> None:
    key = new_key("ES384")
    server = FhirServer(source, key=key, token_seconds=0)
    assert deployment.run(job(server, auth=put_key(deployment, key)))["status"] == "COMPLETED"
    # No life was left in any: each request had one of its own.
    assert len(server.tokens) >= 3


def test_a_token_that_is_refused_mid_job_is_renewed_once(deployment: Deployment, source: SourceServer) -> None:
    key = new_key("ES384")
    server = FhirServer(source, key=key, guarded=True)
    execution = deployment.new_execution()
    owner = {"job_id": JOB, "execution": execution}
    deployment.start(job(server, auth=put_key(deployment, key)), execution)
    deployment.invoke("poll_export", owner)
    state = deployment.invoke("dispatch_files", owner)
    server.revoked.update(server.tokens)
    for unit in json.loads(deployment.read(state["units_key"])):
        deployment.process(owner, unit)
    assert deployment.invoke("complete_job", owner)["status"] == "COMPLETED"
    assert (deployment.landed(), len(server.tokens)) == (LANDED, 2)


def test_a_key_the_server_does_not_know_is_refused_by_name(deployment: Deployment, source: SourceServer) -> None:
    server = FhirServer(source, key=new_key("ES384"))
    auth = put_key(deployment, new_key("ES384"), "sluiceway/keys/other")
    assert deployment.run(job(server, auth=auth))["status"] == "FAILED"
    error = error_of(deployment)
    assert (error["type"], "invalid_client" in error["message"]) == ("CredentialsRefusedError", True)


def test_a_file_with_other_rows_than_the_manifest_counts_is_rejected(
    deployment: Deployment, source: SourceServer
) -> None:
    server = FhirServer(source, counts={"patient_file_2": 7})
    assert deployment.run(job(server))["status"] == "COMPLETED_WITH_FAILURES"
    wrong = {line["key"]: line for line in deployment.lines(JOB, "report.jsonl") if line["status"] != "STORED"}
    assert wrong.keys() == {"Patient-2.ndjson"}
    assert wrong["Patient-2.ndjson"]["status"] == "REJECTED"
    assert "rows" in wrong["Patient-2.ndjson"]["error"]["message"]
    # What did not land can be had again: the export stays.
    assert server.deleted == 0


@pytest.mark.parametrize(
    ("polls", "expires", "error"),
    [
        ([FhirServer.outcome("exception", 500)], None, "ExportFailedError"),
        ([Reply(b"gone", 404)], None, "ExportFailedError"),
        ([Reply(b"<html>")], None, "ReplyNotJsonError"),
        ([FhirServer.reply({"resourceType": "Bundle"})], None, "NotInReplyError"),
        ([], "Mon, 22 Jul 2019 23:59:59 GMT", "ExportExpiredError"),
    ],
)
def test_an_export_that_ends_badly_is_named_and_deleted(
    deployment: Deployment, source: SourceServer, polls: list[Reply], expires: str | None, error: str
) -> None:
    server = FhirServer(source, polls=list(polls), expires=expires)
    assert deployment.run(job(server))["status"] == "FAILED"
    assert error_of(deployment)["type"] == error
    assert (server.deleted, deployment.landed()) == (1, {})


def test_a_kick_off_that_is_refused_leaves_nothing_to_delete(deployment: Deployment, source: SourceServer) -> None:
    server = FhirServer(source)
    source.replies["/fhir/$export"] = FhirServer.outcome("not-supported", 400)
    deployment.run(job(server))
    assert (error_of(deployment)["type"], server.deleted) == ("ExportError", 0)
    assert "not-supported" in error_of(deployment)["message"]


def test_a_job_that_is_cancelled_deletes_its_export(deployment: Deployment, source: SourceServer) -> None:
    server = FhirServer(source, polls=[Reply(b"", 202)])
    execution = deployment.new_execution()
    deployment.start(job(server), execution)
    event = {"detail": {"status": "ABORTED", "executionArn": execution}}
    assert deployment.invoke("complete_job", event)["status"] == "CANCELLED"
    assert server.deleted == 1
