"""What an export API must not say: each is a named error in the job's outcome, with the beginning of the reply, nothing
left running at the vendor, and the task token answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.deployment import Deployment
from tests.support.secrets import put_secret
from tests.support.source import Reply, Request, SourceServer

JOB, TASK = "bad-1", "a-task-token"
SIGNATURE = "planted-signature"
PAGE = {"files": [{"url": f"/a?X-Signature={SIGNATURE}", "other": f"https://h.example/?sig={SIGNATURE}"}], "total": 2}
# So long that only its beginning can be told, and the end of it is no secret's beginning.
PADDING = "x" * 5000


@dataclass
class Tokens:
    """Task tokens, in the place of Step Functions."""

    failed: list[tuple[str, str, str]] = field(default_factory=list)

    def succeed(self, token: str, output: Any) -> None:
        raise AssertionError(f"{token} was told of success: {output}")

    def fail(self, token: str, error: str, cause: str) -> None:
        self.failed.append((token, error, cause))


@pytest.fixture
def tokens(deployment: Deployment) -> Tokens:
    tokens = Tokens()
    deployment.services.__dict__["tokens"] = tokens
    return tokens


def reply(value: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(value).encode(), status)


def changing(request: Request) -> Reply:
    """A list whose total is another on its second page."""
    page = parse_qs(urlsplit(request.path).query).get("page", ["1"])[0]
    return reply(PAGE | {"total": 2 if page == "1" else 3, "padding": PADDING})


def page_after_page(request: Request) -> Reply:
    return reply(PAGE | {"next": "/list", "padding": PADDING})


PAGES = {"request": {"url": "{{ with:api }}/list"}, "list": "files", "name": "{{ file:number }}"}
BY_NUMBER = {"page": True, "param": "page", "total": "total"}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    # what the API answers, what the document says otherwise, the error, and what its text tells of the reply
    "misspelt status": ({"/poll": reply({"state": "DOEN", "padding": PADDING})}, {}, "UnknownStatusError", "DOEN"),
    "status not found": ({"/poll": reply({"status": "DONE", "padding": PADDING})}, {}, "NotInReplyError", "DONE"),
    "list not found": ({"/poll": reply({"state": "DONE", "list": [], "padding": PADDING})}, {}, "NotInReplyError",
                       '"list": []'),
    "URL not found in an item": ({"/poll": reply({"state": "DONE", "files": [{"href": f"/a?s={SIGNATURE}"}]})}, {},
                                 "NotInReplyError", '"href": "/a?redacted"'),
    "place of a template not found": ({"/start": reply({"number": 7, "padding": PADDING})}, {}, "NotInReplyError",
                                      '"number": 7'),
    "total not found": ({"/list": reply({"files": [], "sum": 3, "padding": PADDING})},
                        {"files": PAGES | {"pagination": BY_NUMBER}}, "NotInReplyError", '"sum": 3'),
    "page of HTML": ({"/poll": Reply(f"<html>down {PADDING}".encode())}, {}, "ReplyNotJsonError", "<html>down"),
    "list that changes": ({"/list": changing}, {"files": PAGES | {"pagination": BY_NUMBER}}, "ListChangedError",
                          '"url": "/a?redacted"'),
    "list without an end": ({"/list": page_after_page}, {"files": PAGES | {"pagination": {"next": "next"}}},
                            "ListChangedError", '"next": "/list"'),
    "poll without an end": ({"/poll": reply({"state": "BUSY", "padding": PADDING})}, {}, "ExportTimeoutError", "BUSY"),
    "token that is not taken any more": ({"/poll": reply({"error": "expired_session", "padding": PADDING}, 401)}, {},
                                         "CredentialsRefusedError", "expired_session"),
}  # fmt: skip


def document(deployment: Deployment, source: SourceServer, said: dict[str, Any]) -> dict[str, Any]:
    secret = put_secret(deployment, "api", json.dumps({"client_id": "c", "client_secret": "planted-secret"}))
    mapping = {"running": ["BUSY"], "completed": ["DONE"]}
    return {"job_id": JOB, "task_token": TASK, "source": {
        "type": "http", "with": {"api": source.url("")},
        "auth": {"type": "oauth2", "token_url": source.url("/token"), "secret": secret},
        "start": {"url": "{{ with:api }}/start"},
        "poll": {"url": "{{ with:api }}/poll?id={{ id }}", "status": "state", "status_mapping": mapping,
                 "interval_seconds": 1, "max_polls": 2},
        "files": {"list": "files"},
        "abort": {"method": "DELETE", "url": "{{ with:api }}/abort"},
        **said,
    }}  # fmt: skip


@pytest.mark.parametrize(("answers", "said", "error", "told"), CASES.values(), ids=CASES)
def test_a_bad_reply_is_named_and_told_and_nothing_is_left_behind(
    deployment: Deployment, source: SourceServer, tokens: Tokens, answers: Any, said: Any, error: str, told: str
) -> None:
    source.replies |= {
        "/token": reply({"access_token": "planted-access-token", "expires_in": 3600}),
        "/start": reply({"id": "e1"}),
        "/poll": reply({"state": "DONE", **PAGE}),
        "/abort": Reply(),
    } | answers
    assert deployment.run(document(deployment, source, said))["status"] == "FAILED"
    outcome = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]
    assert (outcome["type"], told in outcome["message"]) == (error, True), outcome
    # 500 characters of the reply, and what leads them.
    assert len(outcome["message"]) < 750
    assert "planted" not in outcome["message"]
    assert source.paths("DELETE") == ["/abort"]
    assert tokens.failed == [(TASK, error, outcome["message"])]
    assert deployment.landed() == {}


def test_a_token_endpoint_that_gives_no_second_token_is_named(
    deployment: Deployment, source: SourceServer, tokens: Tokens
) -> None:
    given: list[Callable[[], Reply]] = [lambda: reply({"access_token": "planted-access-token", "expires_in": 3600})]

    def token(_: Request) -> Reply:
        return given.pop()() if given else reply({"error": "invalid_client", "error_description": "locked"}, 401)

    source.replies |= {"/token": token, "/start": reply({"id": "e1"}), "/poll": Reply(b"", 401), "/abort": Reply()}
    assert deployment.run(document(deployment, source, {}))["status"] == "FAILED"
    outcome = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]
    assert (outcome["type"], "invalid_client locked" in outcome["message"]) == ("CredentialsRefusedError", True)
    assert tokens.failed == [(TASK, "CredentialsRefusedError", outcome["message"])]
