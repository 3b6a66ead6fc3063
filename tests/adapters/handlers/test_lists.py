"""The list of an export's files: its pages, its spellings, its length, and how files are asked for."""

from __future__ import annotations

import hashlib
import json
import re
import tracemalloc
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sluiceway.errors import InvalidJobError, NotInReplyError
from sluiceway.exports import listing
from tests.support.deployment import Deployment
from tests.support.source import Reply, Request, SourceServer

JOB = "listed-1"


def reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return Reply(json.dumps(value).encode(), status, headers or {})


def job(source: SourceServer, files: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"job_id": JOB, "source": {
        "type": "http", "start": {"url": source.url("/exports"), "name": "begin"}, "files": files, **more,
    }}  # fmt: skip


def param(request: Request, name: str) -> str | None:
    return parse_qs(urlsplit(request.path).query).get(name, [None])[0]


def error_of(deployment: Deployment) -> dict[str, str]:
    found: dict[str, str] = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]
    return found


@pytest.fixture
def api(source: SourceServer) -> SourceServer:
    source.replies |= {"/exports": reply({"id": "7"}), **{f"/{n}": Reply(n.encode()) for n in ("a", "b", "c")}}
    return source


ALL = {"a": b"a", "b": b"b", "c": b"c"}


def by_link(request: Request) -> Reply:
    return reply({"items": ["/c"]}) if param(request, "p") else reply({"items": ["/a", "/b"], "next": "/list?p=2"})


def by_cursor(request: Request) -> Reply:
    pages = {None: (["/a"], "x/1"), "x/1": (["/b", "/c"], "")}
    listed, cursor = pages[param(request, "after")]
    return reply({"items": listed, "meta": {"cursor": cursor}})


def by_header(request: Request) -> Reply:
    pages = {None: (["/a", "/b"], "LOC"), "LOC": (["/c"], "null")}
    listed, locator = pages[param(request, "locator")]
    return reply({"items": listed}, headers={"Sforce-Locator": locator})


def by_offset(request: Request) -> Reply:
    begin = int(param(request, "offset") or 0)
    return reply({"items": ["/a", "/b", "/c"][begin : begin + 2], "total": 3})


@pytest.mark.parametrize(
    ("answer", "paging"),
    [
        (by_link, {"next": "next"}),
        (by_cursor, {"cursor": "meta.cursor", "param": "after"}),
        (by_header, {"locator_header": "Sforce-Locator", "param": "locator"}),
        (by_offset, {"offset": True, "param": "offset", "total": "total"}),
    ],
)
def test_a_list_is_read_page_by_page(deployment: Deployment, api: SourceServer, answer: Any, paging: Any) -> None:
    api.replies["/list"] = answer
    files = {"request": {"url": api.url("/list")}, "list": "items", "pagination": paging}
    assert deployment.run(job(api, files))["status"] == "COMPLETED"
    assert deployment.landed() == ALL


def test_pages_that_are_files_themselves_are_fetched_once_each_for_their_bytes(
    deployment: Deployment, api: SourceServer
) -> None:
    def results(request: Request) -> Reply:
        locator = param(request, "locator")
        return Reply(f"page {locator}".encode(), 200, {"Sforce-Locator": "null" if locator else "LOC"})

    api.replies["/results"] = results
    files = {"request": {"url": api.url("/results")}, "name": "r-{{ file:number }}.csv",
             "pagination": {"locator_header": "Sforce-Locator", "param": "locator"}}  # fmt: skip
    assert deployment.run(job(api, files))["status"] == "COMPLETED"
    assert deployment.landed() == {"r-00001.csv": b"page None", "r-00002.csv": b"page LOC"}


@pytest.mark.parametrize(
    ("answer", "paging", "told"),
    [
        (lambda _: reply({"items": ["/a"], "next": "/list"}), {"next": "next"}, "leads back"),
        (lambda r: reply({"items": ["/a"], "next": f"/list?{len(r.path)}{'x' * len(r.path)}"}),
         {"next": "next", "max_pages": 3}, "more than 3 pages"),
        (lambda r: reply({"items": ["/a"] if not param(r, "o") else [], "total": 2}),
         {"offset": True, "param": "o", "total": "total"}, "1 files listed of 2"),
    ],
)  # fmt: skip
def test_a_list_that_changes_or_never_ends_is_named(
    deployment: Deployment, api: SourceServer, answer: Any, paging: Any, told: str
) -> None:
    api.replies["/list"] = answer
    files = {"request": {"url": api.url("/list")}, "list": "items", "pagination": paging}
    assert deployment.run(job(api, files | {"name": "{{ file:number }}"}))["status"] == "FAILED"
    error = error_of(deployment)
    assert (error["type"], told in error["message"], deployment.landed()) == ("ListChangedError", True, {})


DIGEST = hashlib.sha256(b"a").digest()


@pytest.mark.parametrize(
    "spelling",
    ["sha-256=" + DIGEST.hex(), "SHA256:" + DIGEST.hex().upper(), DIGEST.hex(),
     "sha-256=:ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=:",
     "ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=", "md5 DMF1ucDxtqgxw5niaXcmYQ=="],
)  # fmt: skip
def test_digests_are_understood_however_they_are_spelt(
    deployment: Deployment, api: SourceServer, spelling: str
) -> None:
    api.replies["/exports"] = reply({"files": [{"url": "/a", "sum": spelling, "bytes": "1"}]})
    files = {"list": "files", "digest": "sum", "size": "bytes"}
    assert deployment.run(job(api, files))["status"] == "COMPLETED"
    (line,) = deployment.lines(JOB, "report.jsonl")
    assert line["status"] == "STORED"
    assert line["verified_by"] in (["caller:size", "caller:sha256"], ["caller:size", "caller:md5"])


def test_a_digest_in_no_known_spelling_is_told_by_its_place(deployment: Deployment, api: SourceServer) -> None:
    api.replies["/exports"] = reply({"files": [{"url": "/a", "sum": "sha-3=00"}]})
    assert deployment.run(job(api, {"list": "files", "digest": "sum"}))["status"] == "FAILED"
    assert "files[0].digest: expected a digest in a known spelling" in error_of(deployment)["message"]


def test_ordered_requests_may_use_what_came_before(deployment: Deployment, api: SourceServer) -> None:
    api.replies |= {"/create": reply({"job": {"id": "j/1"}}, headers={"ETag": "v7"}), "/enqueue/j%2F1": reply({}),
                    "/list": reply({"items": ["/a"]})}  # fmt: skip
    start = [
        {"name": "create", "url": api.url("/create"), "form": {"run": "{{ job:id }}-{{ job:run }}"}},
        {"url": api.url("/enqueue/{{ create:body.job.id }}"), "headers": {"If-Match": "{{ create:headers.etag }}"},
         "json": {"ids": ["{{ create:body.job }}"], "text": "of {{ with:what }}"}},
    ]  # fmt: skip
    files = {"request": {"url": api.url("/list")}, "list": "items"}
    answer = deployment.run(job(api, files, start=start, **{"with": {"what": "orders"}}))
    assert answer["status"] == "COMPLETED", deployment.read(f"jobs/{JOB}/summary.json")
    create, enqueue = api.requests[:2]
    assert create.body == f"run={JOB}-1".encode()
    assert enqueue.headers["If-Match"] == "v7"
    assert json.loads(enqueue.body) == {"ids": [{"id": "j/1"}], "text": "of orders"}
    key = create.headers["Idempotency-Key"]
    assert re.fullmatch(rf"{JOB}-\d{{8}}T\d{{9}}Z", key) and enqueue.headers["Idempotency-Key"] == f"{key}-1"


def test_a_second_request_that_fails_does_not_start_the_first_again(deployment: Deployment, api: SourceServer) -> None:
    api.replies |= {"/create": reply({"id": 1}), "/enqueue": Reply(b"", 400), "/list": reply({"items": ["/a"]})}
    start = [{"url": api.url("/create")}, {"url": api.url("/enqueue")}]
    document = job(api, {"request": {"url": api.url("/list")}, "list": "items"}, start=start)
    execution = deployment.new_execution()
    with pytest.raises(Exception, match="status 400"):
        deployment.start(document, execution)
    api.replies["/enqueue"] = reply({})
    assert deployment.start(document, execution)["action"] == "READY"
    assert api.paths("POST") == ["/create", "/enqueue", "/enqueue"]


STATES = {"running": ["202"], "completed": ["200"], "failed": ["422"]}


@pytest.mark.parametrize(
    ("answers", "poll", "status"),
    [
        ([Reply(b"", 202), reply({"items": ["/a"]})], {"status_code": True, "status_mapping": STATES}, "COMPLETED"),
        ([Reply(b"", 422)], {"status_code": True, "status_mapping": STATES}, "FAILED"),
        ([Reply(b"", 418)], {"status_code": True, "status_mapping": STATES}, "FAILED"),
        ([Reply(b"", 200, {"X-State": "202"}), reply({"items": ["/a"]}, headers={"X-State": "200"})],
         {"status_header": "x-state", "status_mapping": STATES}, "COMPLETED"),
    ],
)  # fmt: skip
def test_the_state_may_be_the_http_status_or_a_header(
    deployment: Deployment, api: SourceServer, answers: list[Reply], poll: dict[str, Any], status: str
) -> None:
    rest = list(answers)
    api.replies["/poll"] = lambda _: rest.pop(0)
    described = {"url": api.url("/poll"), "interval_seconds": 1, **poll}
    assert deployment.run(job(api, {"list": "items"}, poll=described))["status"] == status


def test_a_hundred_thousand_files_are_read_without_being_held() -> None:
    files = [{"url": f"https://h.example/{n:06}?signature={'x' * 200}", "size": n} for n in range(100_000)]
    body = json.dumps({"status": "DONE", "data": {"files": files}}).encode()
    del files
    assert listing.outline(body, "data.files") == {"status": "DONE", "data": {"files": []}}
    tracemalloc.start()
    assert sum(1 for _ in listing.items(body, "data.files")) == 100_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The body itself is 27 MB; its values would be three times that.
    assert peak < 2 * 1024**2


@pytest.mark.parametrize("padding", [0, 2 * 1024**2])
def test_a_path_to_no_list_is_told_in_short_and_long_replies(padding: int) -> None:
    body = json.dumps({"files": {"a": 1}, "padding": "x" * padding}).encode()
    with pytest.raises(NotInReplyError, match="finds no list"):
        list(listing.items(body, "files"))


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"files": {"list": "items["}}, r"source.files.list: expected a JMESPath expression"),
        ({"files": {"list": "items", "pagination": {"next": "a", "offset": True}}},
         "source.files.pagination: expected next"),
        ({"files": {"list": "items", "pagination": {"cursor": "a"}}}, "source.files.pagination: expected param"),
        ({"files": {}}, "source.files: expected list, or request and name"),
        ({"start": [{"url": "x"}]}, r"source.start\[0\].url: expected a URL"),
        ({"start": {"url": "https://h/{{ nowhere:id }}"}}, "source: expected a place in start that there is"),
        ({"start": {"url": "https://h", "name": "job"}}, "source.start.name: expected a name unlike job, with"),
        ({"poll": {"url": "https://h", "status": "s", "status_mapping": {"completed": ["a"], "failed": ["a"]}}},
         "source.poll.status_mapping: expected each status in one list only"),
        ({"poll": {"url": "https://h", "status_mapping": {"completed": ["a"]}}}, "source.poll: expected status, "),
        ({"wait": "callback"}, "source: expected callback and poll"),
        ({"start": {"url": "https://h", "form": {}, "json": 1}}, "source.start: expected one of body, json, form"),
    ],
)  # fmt: skip
def test_every_mistake_is_told_by_its_path_before_a_request(
    deployment: Deployment, api: SourceServer, part: dict[str, Any], told: str
) -> None:
    document = job(api, {"list": "items"})
    document["source"] |= part
    with pytest.raises(InvalidJobError, match=told):
        deployment.start(document, deployment.new_execution())
    assert api.requests == []
