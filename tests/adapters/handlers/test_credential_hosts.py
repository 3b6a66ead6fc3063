"""To which hosts what may be secret goes with the requests for files and for their links, and to which it does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sluiceway.exports.access import is_known
from tests.support.deployment import Deployment
from tests.support.secrets import put_secret
from tests.support.source import Reply, Request, SourceServer

JOB, TOKEN, SESSION, KEY = "hosts-1", "planted-token", "planted-session", "planted-key"
TOLD = {"Authorization": "Bearer {{ login:body.token }}", "X-Session": "{{ login:body.session }}", "Accept": "text/csv"}


@pytest.fixture
def other(deployment: Deployment) -> Iterator[SourceServer]:
    """Files at another host than the API's."""
    with SourceServer({"/b": Reply(b"b")}) as other:
        for services in (deployment.services, deployment.movers):
            services.source._policy._allowed.add(other.host)
        yield other


@pytest.fixture
def api(source: SourceServer, other: SourceServer) -> SourceServer:
    listed = {"files": [{"url": "/a"}, {"url": other.url("/b")}]}
    source.replies |= {
        "/login": Reply(json.dumps({"token": TOKEN, "session": SESSION}).encode()),
        "/exports": Reply(json.dumps(listed).encode()),
        "/a": Reply(b"a"),
    }
    return source


def job(api: SourceServer, files: dict[str, Any], **more: Any) -> dict[str, Any]:
    start = [{"name": "login", "url": api.url("/login")}, {"url": api.url("/exports")}]
    return {
        "job_id": JOB,
        "source": {"type": "http", "start": start, "files": {"list": "files", **files}, **more},
    }


def sent(server: SourceServer, path: str) -> dict[str, str]:
    """The headers of the one request for `path` that a file or a link was asked for with."""
    (request,) = [each for each in server.requests if each.path == path]
    return {name: value for name, value in request.headers.items() if name in (*TOLD, "X-Key")}


ALL = {"Authorization": f"Bearer {TOKEN}", "X-Session": SESSION, "Accept": "text/csv"}


def test_what_a_reply_told_for_a_header_goes_to_the_apis_own_hosts(
    deployment: Deployment, api: SourceServer, other: SourceServer
) -> None:
    assert deployment.run(job(api, {}, download={"headers": TOLD}))["status"] == "COMPLETED"
    assert (sent(api, "/a"), sent(other, "/b")) == (ALL, {"Accept": "text/csv"})


def test_hosts_take_the_place_of_the_apis_own_in_any_case(
    deployment: Deployment, api: SourceServer, other: SourceServer
) -> None:
    hosts = [other.host.replace("127.0.0.1", "LOCALHOST")]
    for services in (deployment.services, deployment.movers):
        services.source._policy._allowed.add(hosts[0].lower())
    link = other.url("/b").replace("127.0.0.1", "Localhost")
    api.replies["/exports"] = Reply(json.dumps({"files": [{"url": "/a"}, {"url": link}]}).encode())
    download = {"headers": TOLD, "hosts": hosts}
    assert deployment.run(job(api, {}, download=download))["status"] == "COMPLETED"
    assert (sent(api, "/a"), sent(other, "/b")) == ({"Accept": "text/csv"}, ALL)


def test_the_headers_of_a_secret_go_where_credentials_go(
    deployment: Deployment, api: SourceServer, other: SourceServer
) -> None:
    files = {"headers_secret": put_secret(deployment, "files", json.dumps({"X-Key": KEY}))}
    assert deployment.run(job(api, files))["status"] == "COMPLETED"
    assert (sent(api, "/a").get("X-Key"), "X-Key" in sent(other, "/b")) == (KEY, False)
    (task,) = [task for task in deployment.tasks(JOB) if task.key == "a"]
    assert KEY not in deployment.read(str(task.access)).decode()


def linked(deployment: Deployment, api: SourceServer, url: str) -> dict[str, Any]:
    """A job whose files are at links that are asked for at `url`."""
    secret = put_secret(deployment, "api", json.dumps({"X-Key": KEY}))
    files = {"name": "{{ item:name }}", "link": {"url": url, "link": "href", "headers": TOLD}}
    return job(api, files, headers_secret=secret)


def test_an_item_that_names_another_host_for_its_link_has_no_credentials_sent_there(
    deployment: Deployment, api: SourceServer, other: SourceServer
) -> None:
    links = [api.url("/links/a"), other.url("/links/b")]
    listed = [{"name": "a", "at": links[0]}, {"name": "b", "at": links[1]}]
    api.replies |= {"/exports": Reply(json.dumps({"files": listed}).encode()), "/links/a": Reply(b'{"href": "/a"}')}
    other.replies["/links/b"] = Reply(b'{"href": "/b"}')
    assert deployment.run(linked(deployment, api, "{{ item:at }}"))["status"] == "COMPLETED"
    assert sent(api, "/links/a") == {**ALL, "X-Key": KEY}
    assert sent(other, "/links/b") == {"Accept": "text/csv"}


@pytest.mark.parametrize("rest", ["/links/{{ item:name }}", "/links/b?n={{ file:number }}"])
def test_a_host_that_the_document_names_for_links_is_one_of_the_apis(
    deployment: Deployment, api: SourceServer, other: SourceServer, rest: str
) -> None:
    api.replies["/exports"] = Reply(json.dumps({"files": [{"name": "b"}]}).encode())
    other.replies["/links/b"] = Reply(json.dumps({"href": "/b"}).encode())
    document = linked(deployment, api, "{{ with:links }}" + rest)
    document["source"]["with"] = {"links": other.url("")}
    assert deployment.run(document)["status"] == "COMPLETED"
    asked = "/links/b" if "item" in rest else "/links/b?n=00001"
    assert sent(other, asked) == {**ALL, "X-Key": KEY}


def test_what_a_login_told_is_not_shown_where_it_is_echoed(deployment: Deployment, api: SourceServer) -> None:
    def echo(request: Request) -> Reply:
        return Reply(f"no such export for {request.headers['Authorization']} in {SESSION}".encode(), 403)

    api.replies["/exports"] = echo
    document = job(api, {})
    document["source"]["start"][1]["headers"] = {
        "Authorization": TOLD["Authorization"],
        "Cookie": "s={{ login:body.session }}",
    }
    assert deployment.run(document)["status"] == "FAILED"
    error = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]["message"]
    assert "no such export for redacted in redacted" in error


def test_what_a_login_told_is_not_shown_in_the_report(deployment: Deployment, api: SourceServer) -> None:
    api.replies |= {
        "/exports": Reply(json.dumps({"files": [{"name": "a"}]}).encode()),
        "/links/a": lambda request: Reply(request.headers["Authorization"].encode(), 403),
    }
    assert deployment.run(linked(deployment, api, api.url("/links/{{ item:name }}")))["status"] == "FAILED"
    (line,) = deployment.lines(JOB, "report.jsonl")
    assert "status 403: 'redacted'" in line["error"]["message"]


@pytest.mark.parametrize(
    ("url", "hosts", "is_one"),
    [
        ("https://h/a", ["h"], True),
        ("https://H/a", ["h:443"], True),
        ("https://h:443/a", ["h"], True),
        ("http://h:80/a", ["h"], True),
        ("https://[::1]/a", ["[::1]:443"], True),
        ("https://h:8443/a", ["h"], False),
        ("https://h/a", ["h:8443"], False),
        ("http://h/a", ["h:443"], False),
        ("https://a.h/", ["h"], False),
    ],
)
def test_a_port_counts_unless_it_is_the_schemes_own(url: str, hosts: list[str], is_one: bool) -> None:
    assert is_known(url, hosts) is is_one
