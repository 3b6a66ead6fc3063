"""Signed links that expire before their files have moved."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.deployment import Deployment
from tests.support.source import Body, Reply, Request, SourceServer

MIB = 1024**2
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


def dying(body: bytes, *, after: int, good: Callable[[str], bool], etag: str = '"v1"') -> Callable[[Request], Reply]:
    """The connection breaks after so many bytes and the link has died by then; a good one sends what is asked for."""

    def answer(request: Request) -> Reply:
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if good(request.path):
            start = int(asked[1]) if asked and request.headers["If-Range"] == etag else 0
            place = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
            return Reply(body[start:], 206 if start else 200, {"ETag": etag, **place})
        if asked:
            return Reply(b"expired", 403)
        return Reply(body, 200, {"ETag": '"v1"'}, cut_after=after)

    return answer


def ranges(source: SourceServer, path: str) -> list[tuple[int, str | None]]:
    """The signature and the Range of every request for `path`."""
    found = [request for request in source.requests if request.path.startswith(path)]
    return [(signature(request.path), request.headers.get("Range")) for request in found]


def test_a_link_that_dies_in_the_middle_is_gone_on_with_by_the_fresh_one(
    deployment: Deployment, source: SourceServer, listed: list[str]
) -> None:
    body = Body(17 * MIB + 3).read()
    source.replies |= {
        "/a": Reply(b"a"),
        "/b": dying(body, after=7 * MIB, good=lambda path: signature(path) > 1),
    }

    answer = deployment.run(document(source))

    assert answer["status"] == "COMPLETED"
    assert deployment.landed()["b"] == body
    # What had come of the second part is a part of its own: not a byte is asked for twice.
    resumed = f"bytes={7 * MIB}-"
    assert ranges(source, "/b") == [(1, None), (1, resumed), (2, resumed)]
    (line,) = (line for line in deployment.lines("signed", "report.jsonl") if line["key"] == "b")
    assert (line["sha256"], line["bytes"]) == (hashlib.sha256(body).hexdigest(), len(body))
    assert deployment.unfinished_uploads() == []


def test_a_file_that_changed_before_its_fresh_link_is_begun_anew(
    deployment: Deployment, source: SourceServer, listed: list[str]
) -> None:
    body = Body(17 * MIB + 3).read()
    changed = dying(body, after=7 * MIB, good=lambda path: signature(path) > 1, etag='"v2"')
    source.replies |= {"/a": Reply(b"a"), "/b": changed}

    assert deployment.run(document(source))["status"] == "COMPLETED"

    assert deployment.landed()["b"] == body
    assert ranges(source, "/b")[-1] == (2, None)
    assert deployment.unfinished_uploads() == []


def test_a_link_that_dies_before_the_first_part_leaves_nothing(
    deployment: Deployment, source: SourceServer, listed: list[str]
) -> None:
    body = Body(17 * MIB).read()
    source.replies |= {
        "/a": Reply(b"a"),
        "/b": dying(body, after=MIB, good=lambda path: signature(path) > 1),
    }

    assert deployment.run(document(source))["status"] == "COMPLETED"

    assert deployment.landed()["b"] == body
    assert ranges(source, "/b") == [(1, None), (1, f"bytes={MIB}-"), (2, None)]
    assert deployment.unfinished_uploads() == []


def test_links_that_die_again_and_again_move_the_file_on_each_time_and_leave_no_upload(
    deployment: Deployment, source: SourceServer, listed: list[str]
) -> None:
    body = Body(80 * MIB).read()

    def answer(request: Request) -> Reply:
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        key = signature(request.path)
        if key in seen:
            return Reply(b"expired", 403)
        seen.add(key)
        place = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        return Reply(body[start:], 206 if start else 200, {"ETag": '"v1"', **place}, cut_after=6 * MIB)

    seen: set[int] = set()
    source.replies |= {"/a": Reply(b"a"), "/b": answer}

    answered = deployment.run(document(source))

    assert answered["status"] == "COMPLETED_WITH_FAILURES"
    starts = [asked for number, asked in ranges(source, "/b")[::2]]
    assert starts == [None, *(f"bytes={n * 6 * MIB}-" for n in (1, 2, 3))]
    (line,) = (line for line in deployment.lines("signed", "report.jsonl") if line["key"] == "b")
    assert (line["status"], line["error"]["type"]) == ("FAILED", "SourceStatusError")
    assert deployment.unfinished_uploads() == []


def test_a_link_of_a_file_of_its_own_is_asked_for_again_and_the_file_goes_on(
    deployment: Deployment, source: SourceServer, listed: list[str]
) -> None:
    body = Body(17 * MIB + 3).read()
    asked: list[str] = []

    def link(request: Request) -> Reply:
        asked.append(request.path)
        return Reply(json.dumps({"url": source.url(f"/b?sig={len(asked)}")}).encode())

    listed[:] = ["b"]
    source.replies |= {"/links/b": link, "/b": dying(body, after=7 * MIB, good=lambda path: signature(path) > 1)}
    written: Any = document(source)
    written["source"]["files"] = {
        "list": "files",
        "name": "{{ item:name }}",
        "link": {"url": source.url("/links/b"), "link": "url"},
    }

    answer = deployment.run(written)

    assert answer["status"] == "COMPLETED"
    assert deployment.landed() == {"b": body}
    resumed = f"bytes={7 * MIB}-"
    assert ranges(source, "/b") == [(1, None), (1, resumed), (2, resumed)]
    assert source.paths().count("/exports/1") == 1, "no round of the job was needed"
