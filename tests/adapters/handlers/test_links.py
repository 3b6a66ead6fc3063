"""Signed links that expire before their files have moved."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.deployment import Deployment
from tests.support.source import Body, Reply, Request, SourceServer

DOCUMENT = {
    "job_id": "signed",
    "source": {
        "type": "http",
        "start": {"url": "{base}/exports"},
        "poll": {"url": "{base}/exports/1", "status": "state", "status_mapping": {"completed": ["DONE"]}},
        "files": {"list": "files", "url": "href", "key": "name"},
    },
}


def document(source: SourceServer) -> dict[str, object]:
    made: dict[str, object] = json.loads(json.dumps(DOCUMENT).replace("{base}", source.url("")))
    return made


@pytest.fixture
def listed(source: SourceServer) -> list[str]:
    """The names the API lists; every listing signs its links anew, and only the newest signature is good."""
    names = ["a", "b"]
    version = 0

    def listing(_: Request) -> Reply:
        nonlocal version
        version += 1
        files = [{"href": source.url(f"/{name}?sig={version}"), "name": name} for name in names]
        return Reply(json.dumps({"state": "DONE", "files": files}).encode())

    source.replies |= {"/exports": Reply(b"{}"), "/exports/1": listing}
    return names


def expiring(body: Body, good: Callable[[str], bool]) -> Callable[[Request], Reply]:
    return lambda request: Reply(body) if good(request.path) else Reply(b"expired", 403)


def signature(path: str) -> int:
    return int(path.partition("sig=")[2])


def test_only_the_files_whose_links_expired_are_asked_for_again(
    deployment: Deployment, source: SourceServer, listed: list[str]
) -> None:
    source.replies |= {"/a": Reply(Body(100, seed=1))}
    first = []

    def good(path: str) -> bool:
        first.append(signature(path))
        return signature(path) > first[0]

    source.replies |= {"/b": expiring(Body(200, seed=2), good)}

    answer = deployment.run(document(source))

    assert answer["status"] == "COMPLETED"
    assert answer["files"]["stored"] == 2
    assert source.paths().count("/a") == 1
    assert source.paths().count("/b") == 2
    assert deployment.landed() == {"a": Body(100, seed=1).read(), "b": Body(200, seed=2).read()}


def test_links_that_never_work_fail_after_a_few_rounds_for_their_own_reason(
    deployment: Deployment, source: SourceServer, listed: list[str]
) -> None:
    source.replies |= {"/a": Reply(Body(100)), "/b": expiring(Body(1), lambda _: False)}

    answer = deployment.run(document(source))

    assert answer["status"] == "COMPLETED_WITH_FAILURES"
    assert source.paths().count("/b") == 4
    (line,) = (line for line in deployment.lines("signed", "report.jsonl") if line["key"] == "b")
    assert (line["status"], line["error"]["type"]) == ("FAILED", "SourceStatusError")
    assert "403" in line["error"]["message"]


def test_a_file_the_source_no_longer_lists_is_not_lost(
    deployment: Deployment, source: SourceServer, listed: list[str]
) -> None:
    def answer(_: Request) -> Reply:
        listed[:] = ["a"]
        return Reply(b"gone", 410)

    source.replies |= {"/a": Reply(Body(100)), "/b": answer}

    assert deployment.run(document(source))["files"] == {
        **dict.fromkeys(("skipped", "rejected", "cancelled"), 0), "stored": 1, "failed": 1,
    }  # fmt: skip


def test_a_list_of_urls_cannot_be_renewed(deployment: Deployment, source: SourceServer) -> None:
    source.replies |= {"/a": Reply(b"", 403)}
    listed = {"type": "urls", "files": [source.url("/a")]}

    assert deployment.run({"job_id": "fixed", "source": listed})["files"]["failed"] == 1
    assert source.paths() == ["/a"]
