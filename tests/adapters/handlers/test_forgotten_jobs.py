"""A job that the table has forgotten and the jobs bucket has not: another `sluiceway run` in the same folder, or one
after its rows have expired."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sluiceway.errors import ReplyNotJsonError
from tests.support.deployment import Deployment
from tests.support.fhir import FhirServer
from tests.support.source import Reply, SourceServer, one_after_the_other

JOB = "orders"
MAPPING = {"running": ["RUNNING"], "completed": ["DONE"]}


def reply(value: Any) -> Reply:
    return Reply(json.dumps(value).encode())


def job(source: SourceServer, **more: Any) -> dict[str, Any]:
    described = {
        "type": "http",
        "start": {"url": source.url("/exports")},
        "poll": {"url": source.url("/exports/{{ id }}"), "status": "status", "status_mapping": MAPPING},
        "files": {"list": "files"},
        "finish": {"method": "DELETE", "url": source.url("/exports/{{ id }}")},
        **more,
    }
    return {"job_id": JOB, "source": described}


@pytest.fixture
def api(source: SourceServer) -> SourceServer:
    """Each start is an export of its own."""
    source.replies |= {
        "/exports": one_after_the_other(reply({"id": "e1"}), reply({"id": "e2"})),
        "/exports/e1": reply({"status": "DONE", "files": ["/monday"]}),
        "/exports/e2": reply({"status": "DONE", "files": ["/tuesday"]}),
        "/monday": Reply(b"old"),
        "/tuesday": Reply(b"new"),
    }
    return source


def forget(deployment: Deployment) -> None:
    dynamodb = deployment.client("dynamodb")
    for row in deployment.rows():
        dynamodb.delete_item(TableName=deployment.table, Key={name: row[name] for name in ("pk", "sk")})


def keys(api: SourceServer) -> list[str]:
    return [each.headers["Idempotency-Key"] for each in api.requests if each.method == "POST"]


def test_a_job_that_was_forgotten_asks_for_an_export_of_its_own(deployment: Deployment, api: SourceServer) -> None:
    assert deployment.run(job(api))["status"] == "COMPLETED"
    assert deployment.landed() == {"monday": b"old"}
    forget(deployment)
    assert deployment.run(job(api))["status"] == "COMPLETED"
    assert deployment.landed() == {"monday": b"old", "tuesday": b"new"}
    assert api.paths("DELETE") == ["/exports/e1", "/exports/e2"]
    first, second = keys(api)
    assert first != second and all(re.fullmatch(rf"{JOB}-\d{{8}}T\d{{9}}Z", key) for key in (first, second))


def test_the_export_of_a_job_that_was_never_ended_is_not_polled_by_the_next(
    deployment: Deployment, api: SourceServer
) -> None:
    api.replies["/exports/e1"] = reply({"status": "RUNNING"})
    execution = deployment.new_execution()
    deployment.start(job(api), execution)
    deployment.invoke("poll_export", {"job_id": JOB, "execution": execution})
    forget(deployment)
    assert deployment.run(job(api))["status"] == "COMPLETED"
    assert (deployment.landed(), len(keys(api))) == ({"tuesday": b"new"}, 2)
    assert api.paths("GET").count("/exports/e1") == 1


def test_the_list_that_a_start_request_answered_with_is_asked_for_anew(
    deployment: Deployment, api: SourceServer
) -> None:
    api.replies["/exports"] = one_after_the_other(reply({"files": ["/monday"]}), reply({"files": ["/tuesday"]}))
    at_once = {"poll": None, "finish": None}
    assert deployment.run(job(api, **at_once))["status"] == "COMPLETED"
    forget(deployment)
    assert deployment.run(job(api, **at_once))["status"] == "COMPLETED"
    assert (deployment.landed(), len(keys(api))) == ({"monday": b"old", "tuesday": b"new"}, 2)


def test_a_fhir_server_is_asked_for_another_export(deployment: Deployment, source: SourceServer) -> None:
    server = FhirServer(source)
    document = {"job_id": JOB, "source": {"type": "fhir-bulk", "base_url": server.url()}}
    for _ in range(2):
        assert deployment.run(document)["status"] == "COMPLETED"
        forget(deployment)
    assert (len([path for path in source.paths() if "/$export" in path]), server.deleted) == (2, 2)


def test_a_start_that_is_repeated_in_one_run_keeps_its_key(deployment: Deployment, api: SourceServer) -> None:
    api.replies["/exports"] = one_after_the_other(Reply(b"<html>"), reply({"id": "e2"}))
    execution = deployment.new_execution()
    with pytest.raises(ReplyNotJsonError):
        deployment.start(job(api), execution)
    assert deployment.start(job(api), execution)["action"] == "POLL"
    first, second = keys(api)
    assert first == second


def test_a_place_in_a_template_tells_runs_apart(deployment: Deployment, api: SourceServer) -> None:
    start = {"url": api.url("/exports"), "json": {"folder": "{{ job:id }}-{{ job:run }}-{{ job:stamp }}"}}
    for _ in range(2):
        assert deployment.run(job(api, start=start))["status"] == "COMPLETED"
        forget(deployment)
    first, second = (json.loads(each.body)["folder"] for each in api.requests if each.method == "POST")
    assert first != second and first.startswith(f"{JOB}-1-") and second.startswith(f"{JOB}-1-")
