"""Where the list of files comes from: manifests in S3 and on the web, and an export API that is started and polled."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from sluiceway.errors import ExportError, InvalidJobError, PolicyError, SecretError, SinkError, SourceStatusError
from tests.support.deployment import Deployment
from tests.support.source import Reply, Request, SourceServer

JOB = "acme-1"
SECRET = "planted-secret"
MAPPING = {"running": ["RUNNING"], "completed": ["DONE"], "failed": ["ERROR"]}


def reply(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(json.dumps(value).encode(), status, {name.replace("_", "-"): text for name, text in headers.items()})


def one_after_the_other(*replies: Reply) -> Callable[[Request], Reply]:
    """Each request gets the next, and the last stays."""
    rest = list(replies)
    return lambda request: rest.pop(0) if len(rest) > 1 else rest[0]


# --- manifests ---


def manifest(location: str, **more: Any) -> dict[str, Any]:
    return {"job_id": JOB, "source": {"type": "manifest", "location": location, **more}}


def put_manifest(deployment: Deployment, body: str, key: str = "requests/list?#.csv") -> str:
    deployment.client("s3").put_object(Bucket=deployment.jobs_bucket, Key=key, Body=body.encode())
    return f"s3://{deployment.jobs_bucket}/{key}"


def test_a_manifest_in_s3_is_read(deployment: Deployment, source: SourceServer) -> None:
    source.replies["/a"] = Reply(b"abc")
    location = put_manifest(deployment, f"url,key,size\n{source.url('/a')},in/a.csv,3\n")
    assert deployment.run(manifest(location))["status"] == "COMPLETED"
    assert deployment.landed() == {"in/a.csv": b"abc"}


def test_a_manifest_on_the_web_is_read_with_the_headers_of_its_secret(
    deployment: Deployment, source: SourceServer
) -> None:
    put_secret(deployment, "list", {"Authorization": SECRET})
    source.replies |= {"/a": Reply(b"abc"), "/list.txt": Reply(f"# today\n{source.url('/a')}\n".encode())}

    answer = deployment.run(manifest(source.url("/list.txt?sig=planted"), headers_secret="sluiceway/list"))

    assert (answer["status"], deployment.landed()) == ("COMPLETED", {"a": b"abc"})
    sent = {request.path.partition("?")[0]: request.headers.get("Authorization") for request in source.requests}
    assert sent == {"/list.txt": SECRET, "/a": None}


def test_a_manifest_of_a_hundred_thousand_lines_needs_no_hundred_thousand_objects(
    deployment: Deployment, source: SourceServer
) -> None:
    execution = deployment.new_execution()
    lines = "".join(f"https://h/{n}.csv\n" for n in range(20_000))
    deployment.start(manifest(put_manifest(deployment, lines)), execution)
    answer = deployment.invoke("dispatch_files", {"job_id": JOB, "execution": execution})
    assert (answer["action"], answer["files"], answer["units"]) == ("TRANSFER", 20_000, 20_000)
    assert len(json.dumps(answer)) < 500
    assert deployment.jobs.get(JOB).files_total == 20_000


def test_a_path_is_for_the_command_only(deployment: Deployment) -> None:
    with pytest.raises(InvalidJobError, match=r"source.location: expected s3://bucket/key or an https:// URL"):
        deployment.start(manifest("lists/today.csv"), deployment.new_execution())


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("{s3}/requests/absent.csv", SinkError),
        ("{http}/absent.csv", SourceStatusError),
        ("http://169.254.169.254/latest/meta-data", PolicyError),
    ],
)
def test_a_manifest_that_cannot_be_read_fails_the_job(
    deployment: Deployment, source: SourceServer, location: str, error: type[Exception]
) -> None:
    execution = deployment.new_execution()
    location = location.format(s3=f"s3://{deployment.jobs_bucket}", http=source.url(""))
    deployment.start(manifest(location), execution)
    with pytest.raises(error):
        deployment.invoke("dispatch_files", {"job_id": JOB, "execution": execution})
    assert deployment.jobs.get(JOB).files_total is None


def test_a_wrong_entry_fails_the_job_before_any_transfer(deployment: Deployment, source: SourceServer) -> None:
    location = put_manifest(deployment, f"{source.url('/a')}\nnonsense\n", "requests/list.txt")
    answer = deployment.run(manifest(location))
    summary = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))
    assert (answer["status"], source.requests) == ("FAILED", [])
    assert summary["error"]["message"].startswith("list.txt line 2, url: expected a URL like")
    assert deployment.unfinished_uploads() == []


def test_failed_jsonl_runs_as_a_manifest(deployment: Deployment, source: SourceServer) -> None:
    source.replies["/a"] = one_after_the_other(Reply(b"", 404), Reply(b"abc"))
    failing = {"job_id": JOB, "source": {"type": "urls", "files": [source.url("/a?sig=1")]},
               "destination": {"prefix": "in/"}}  # fmt: skip
    assert deployment.run(failing)["status"] == "FAILED"

    again = manifest(f"s3://{deployment.jobs_bucket}/jobs/{JOB}/failed.jsonl") | {"job_id": "again"}
    assert deployment.run(again)["status"] == "COMPLETED"
    assert deployment.landed() == {"in/a": b"abc"}


# --- headers of files ---


def put_secret(deployment: Deployment, name: str, headers: dict[str, str]) -> None:
    client, text = deployment.client("secretsmanager"), json.dumps(headers)
    try:
        client.create_secret(Name=f"sluiceway/{name}", SecretString=text)
    except client.exceptions.ResourceExistsException:
        client.put_secret_value(SecretId=f"sluiceway/{name}", SecretString=text)


def test_a_file_is_asked_for_with_the_headers_of_its_secret(deployment: Deployment, source: SourceServer) -> None:
    put_secret(deployment, "file", {"X-Key": SECRET})
    source.replies |= {"/a": Reply(b"a"), "/b": Reply(b"b")}
    files = [{"url": source.url("/a"), "headers_secret": "sluiceway/file"}, source.url("/b")]
    assert deployment.run({"job_id": JOB, "source": {"type": "urls", "files": files}})["status"] == "COMPLETED"
    assert [request.headers.get("X-Key") for request in source.requests] == [SECRET, None]
    assert SECRET not in json.dumps(deployment.rows()) + deployment.read(f"jobs/{JOB}/report.jsonl").decode()


@pytest.mark.parametrize(
    ("name", "error", "status"),
    [("sluiceway/absent", SecretError, "FAILED"), ("production/database", PolicyError, "REJECTED")],
)
def test_a_secret_that_cannot_be_had_ends_its_file(
    deployment: Deployment, source: SourceServer, name: str, error: type[Exception], status: str
) -> None:
    files = [{"url": source.url("/a"), "headers_secret": name}]
    deployment.run({"job_id": JOB, "source": {"type": "urls", "files": files}})
    (line,) = deployment.lines(JOB, "report.jsonl")
    assert (line["status"], line["error"]["type"], source.requests) == (status, error.__name__, [])


# --- export APIs ---


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
    assert started.headers["Idempotency-Key"] == f"{JOB}-1"
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
    put_secret(deployment, "api", {"Authorization": SECRET})
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
