"""An export API that is started and polled until its list of files is there."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from sluiceway.errors import ExportError
from tests.support.deployment import Deployment
from tests.support.secrets import put_secret
from tests.support.source import Reply, SourceServer, one_after_the_other

JOB = "acme-1"
SECRET = "planted-secret"
MAPPING = {"running": ["RUNNING"], "completed": ["DONE"], "failed": ["ERROR"]}


def reply(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(json.dumps(value).encode(), status, {name.replace("_", "-"): text for name, text in headers.items()})


def export(source: SourceServer, **more: Any) -> dict[str, Any]:
    described = {
        "type": "http",
        "start": {"url": source.url("/exports"), "json": {"table": "orders"}},
        "poll": {"url": source.url("/exports/{{ id }}"), "status": "status", "status_mapping": MAPPING,
                 "interval_seconds": 2, "max_interval_seconds": 5},
        "files": {"list": "files", "url": "href", "key": "name", "size": "bytes", "digests": {"md5": "md5"}},
        **more,
    }  # fmt: skip
    return {"job_id": JOB, "source": described}


FILES = [
    {"href": f"/a?sig={SECRET}", "name": "in/a.csv", "bytes": 3, "md5": "kAFQmDzST7DWlj99KOF/cg=="},
    {"href": "/b", "name": None},
]


@pytest.fixture
def api(source: SourceServer) -> SourceServer:
    source.replies |= {
        "/exports": reply({"id": "e/1"}, 202),
        "/exports/e%2F1": one_after_the_other(
            reply({"status": "RUNNING"}), Reply(b"", 202), Reply(b"", 503), reply({"status": "DONE", "files": FILES})
        ),
        "/a": Reply(b"abc"),
        "/b": Reply(b"b"),
    }
    return source


def test_an_export_is_started_polled_and_landed(deployment: Deployment, api: SourceServer) -> None:
    answer = deployment.run(export(api))

    assert (answer["status"], deployment.landed()) == ("COMPLETED", {"in/a.csv": b"abc", "b": b"b"})
    assert sorted(api.paths()) == ["/a", "/b"] + ["/exports/e%2F1"] * 4
    (started,) = [request for request in api.requests if request.method == "POST"]
    assert (json.loads(started.body), started.headers["Content-Type"]) == ({"table": "orders"}, "application/json")
    assert started.headers["Idempotency-Key"].startswith(f"{JOB}-")
    states = [event["detail"]["state"] for event in deployment.events()]
    assert states == ["REQUESTED", "EXPORTING", "TRANSFERRING", "COMPLETED"]


def test_the_links_of_an_export_stay_in_the_jobs_bucket(deployment: Deployment, api: SourceServer) -> None:
    deployment.run(export(api))
    assert SECRET in deployment.read(f"jobs/{JOB}/export.json").decode()
    seen = json.dumps(deployment.rows()) + json.dumps(deployment.events())
    assert SECRET not in seen + deployment.read(f"jobs/{JOB}/report.jsonl").decode()


def test_the_wait_between_polls_grows_to_its_limit(deployment: Deployment, api: SourceServer) -> None:
    api.replies["/exports/e%2F1"] = reply({"status": "RUNNING"})
    execution = deployment.new_execution()
    owner = {"job_id": JOB, "execution": execution}
    waits = [deployment.start(export(api), execution)["wait_seconds"]]
    for _ in range(3):
        answer = deployment.invoke("poll_export", owner)
        assert answer == {**owner, "action": "POLL", "wait_seconds": answer["wait_seconds"]}
        waits.append(answer["wait_seconds"])
    assert waits == [2, 3, 5, 5]


def in_an_hour() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(hours=3), usegmt=True)


@pytest.mark.parametrize(
    ("status", "value", "expected"),
    [
        (200, "7", 7),
        (429, "9", 9),
        (200, "0", 1),
        (200, "999999", 3600),
        (200, in_an_hour(), 3600),
        (200, "Mon, 23 Nov 2020 00:00:00 GMT", 1),
        (200, "soon", 3),
    ],
    # Named here: a name that holds the time of its collection differs from process to process.
    ids=["seconds", "too many requests", "zero", "far", "date", "past date", "nonsense"],
)
def test_a_server_that_asks_to_wait_is_heard(
    deployment: Deployment, api: SourceServer, status: int, value: str, expected: int
) -> None:
    api.replies["/exports/e%2F1"] = reply({"status": "RUNNING"}, status, Retry_After=value)
    execution = deployment.new_execution()
    deployment.start(export(api), execution)
    assert deployment.invoke("poll_export", {"job_id": JOB, "execution": execution})["wait_seconds"] == expected


def test_the_place_to_ask_may_stand_in_a_header(deployment: Deployment, api: SourceServer) -> None:
    api.replies |= {
        "/exports": Reply(b"", 202, {"Location": "/jobs/7"}),
        "/jobs/7": reply({"state": 4, "result": {"links": [api.url("/a")]}}),
    }
    poll = {"url_header": "location", "status": "state", "status_mapping": {"completed": ["4"]}}
    answer = deployment.run(export(api, poll=poll, files={"list": "result.links"}))
    assert (answer["status"], deployment.landed()) == ("COMPLETED", {"a": b"abc"})


def test_a_reply_may_be_the_list_at_once(deployment: Deployment, api: SourceServer) -> None:
    api.replies["/exports"] = reply({"files": ["b"]})
    answer = deployment.run(export(api, poll=None, start={"url": api.url("/exports"), "method": "GET"}))
    assert (answer["status"], deployment.landed()) == ("COMPLETED", {"b": b"b"})


@pytest.mark.parametrize("place", ["/exports/{{ id }}/files", "{{ results }}"])
def test_the_list_may_have_a_place_of_its_own(deployment: Deployment, api: SourceServer, place: str) -> None:
    api.replies |= {
        "/exports/e%2F1": reply({"status": "DONE", "results": "/exports/e%2F1/files"}),
        "/exports/e%2F1/files": reply(["/b"]),
    }
    files = {"list": "@", "request": {"url": api.url(place) if place.startswith("/") else place}}
    assert deployment.run(export(api, files=files))["status"] == "COMPLETED"
    assert deployment.landed() == {"b": b"b"}


def test_the_api_is_asked_with_the_headers_of_its_secret_and_the_files_without(
    deployment: Deployment, api: SourceServer
) -> None:
    put_secret(deployment, "api", json.dumps({"Authorization": SECRET}))
    deployment.run(export(api, headers_secret="sluiceway/api"))
    sent = {(request.path.split("?")[0], request.headers.get("Authorization")) for request in api.requests}
    assert sent == {("/exports", SECRET), ("/exports/e%2F1", SECRET), ("/a", None), ("/b", None)}


@pytest.mark.parametrize(
    ("path", "answer", "more", "error", "told"),
    [
        ("/exports", reply({"error": "no"}, 400), {}, "ExportError", "status 400: '{\"error\": \"no\"}'"),
        ("/exports", Reply(b"<html>"), {}, "ReplyNotJsonError", "expected JSON, found '<html>'"),
        ("/exports", reply({"ident": 1}), {}, "NotInReplyError", "'id' finds nothing"),
        ("/exports/e%2F1", reply({"status": "ERROR"}), {}, "ExportFailedError", "ended with status 'ERROR'"),
        ("/exports/e%2F1", reply({"state": "DONE"}), {}, "NotInReplyError", "'status' finds no status"),
        ("/exports/e%2F1", Reply(b"not json"), {}, "ReplyNotJsonError", "expected JSON"),
        ("/exports/e%2F1", Reply(b"gone", 410), {}, "ExportError", "status 410: 'gone'"),
        ("/exports/e%2F1", reply({"status": "DONE"}), {}, "NotInReplyError", "'files' finds no list"),
        ("/exports", Reply(b""), {"poll": {"url_header": "Location", "status": "s",
                                           "status_mapping": {"completed": ["c"]}}}, "NotInReplyError", "no header"),
        ("/exports/e%2F1", reply({"status": f"https://h/?{SECRET}"}), {}, "UnknownStatusError", "unknown status"),
        ("/exports/e%2F1", reply({"status": "done"}), {}, "UnknownStatusError", "unknown status 'done'"),
    ],
)  # fmt: skip
def test_an_api_that_answers_nonsense_fails_the_job_and_is_aborted(
    deployment: Deployment, api: SourceServer, path: str, answer: Reply, more: Any, error: str, told: str
) -> None:
    api.replies |= {path: answer, "/abort": Reply()}
    abort = {"method": "DELETE", "url": api.url("/abort")}
    assert deployment.run(export(api, abort=abort, **more))["status"] == "FAILED"
    text = deployment.read(f"jobs/{JOB}/summary.json").decode()
    said = json.loads(text)["error"]
    assert (said["type"], SECRET in text) == (error, False)
    assert told in said["message"]
    assert deployment.landed() == {}
    # What the API did not take has nothing to abort.
    taken = path != "/exports" or error == "NotInReplyError"
    assert api.paths("DELETE") == (["/abort"] if taken else [])


@pytest.mark.parametrize(
    ("limit", "told"), [({"max_polls": 2}, "after 2 polls"), ({"timeout_minutes": 0.0001}, "after 0.0001 minutes")]
)
def test_an_export_that_never_ends_fails(
    deployment: Deployment, api: SourceServer, limit: dict[str, float], told: str
) -> None:
    api.replies["/exports/e%2F1"] = reply({"status": "RUNNING"})
    poll = {"url": api.url("/exports/{{ id }}"), "status": "status", "status_mapping": MAPPING, **limit}
    assert deployment.run(export(api, poll=poll))["status"] == "FAILED"
    error = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]
    assert error["type"] == "ExportTimeoutError"
    assert told in error["message"]


def test_starting_twice_starts_one_export(deployment: Deployment, api: SourceServer) -> None:
    execution = deployment.new_execution()
    answers = [deployment.start(export(api), execution) for _ in range(2)]
    assert answers[0] == answers[1] and answers[0]["action"] == "POLL"
    assert len([request for request in api.requests if request.method == "POST"]) == 1


def test_polling_after_the_end_asks_no_more(deployment: Deployment, api: SourceServer) -> None:
    api.replies["/exports/e%2F1"] = reply({"status": "DONE", "files": FILES})
    execution = deployment.new_execution()
    owner = {"job_id": JOB, "execution": execution}
    deployment.start(export(api), execution)
    assert [deployment.invoke("poll_export", owner)["action"] for _ in range(2)] == ["READY", "READY"]
    assert len(api.paths()) == 1


def test_an_export_error_is_one_of_the_source() -> None:
    assert ExportError.blame == "source"
