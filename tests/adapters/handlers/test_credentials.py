"""How requests to an export API are authorised, and where credentials never go."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from sluiceway.errors import InvalidJobError
from tests.support.deployment import Deployment
from tests.support.secrets import put_secret
from tests.support.source import Reply, Request, SourceServer

JOB, SECRET = "auth-1", "planted-credential"


def job(source: SourceServer, auth: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"job_id": JOB, "source": {
        "type": "http", "auth": auth, "start": {"url": source.url("/exports"), "method": "GET"},
        "files": {"list": "files"}, "download": {"auth": "inherit"}, **more,
    }}  # fmt: skip


@pytest.fixture
def api(source: SourceServer) -> SourceServer:
    source.replies |= {"/exports": Reply(json.dumps({"files": ["/a"]}).encode()), "/a": Reply(b"abc")}
    return source


def seen_of(deployment: Deployment) -> str:
    names = ("summary.json", "report.jsonl", "job.json", "export.json", "manifest.jsonl")
    outputs = [deployment.read(f"jobs/{JOB}/{name}").decode() for name in names]
    return json.dumps(deployment.rows()) + json.dumps(deployment.events()) + "".join(outputs)


BASIC = base64.b64encode(f"me:{SECRET}".encode()).decode()
SCHEMES: list[tuple[dict[str, Any], str, dict[str, str]]] = [
    ({"type": "basic"}, json.dumps({"username": "me", "password": SECRET}), {"Authorization": f"Basic {BASIC}"}),
    ({"type": "bearer"}, SECRET, {"Authorization": f"Bearer {SECRET}"}),
    ({"type": "bearer"}, json.dumps({"token": SECRET}), {"Authorization": f"Bearer {SECRET}"}),
    ({"type": "api-key", "header": "X-Key"}, SECRET, {"X-Key": SECRET}),
    ({"type": "api-key", "header": "Authorization", "prefix": "Token "}, SECRET, {"Authorization": f"Token {SECRET}"}),
]


@pytest.mark.parametrize(("auth", "secret", "headers"), SCHEMES)
def test_every_request_carries_the_credentials_and_nothing_else_does(
    deployment: Deployment, api: SourceServer, auth: dict[str, Any], secret: str, headers: dict[str, str]
) -> None:
    auth = auth | {"secret": put_secret(deployment, "scheme", secret)}
    assert deployment.run(job(api, auth))["status"] == "COMPLETED"
    assert [request.path for request in api.requests] == ["/exports", "/a"]
    for request in api.requests:
        assert headers.items() <= request.headers.items()
    assert SECRET not in seen_of(deployment) and BASIC not in seen_of(deployment)


def test_a_key_in_the_query_is_sent_there_and_kept_out_of_everything(deployment: Deployment, api: SourceServer) -> None:
    auth = {"type": "api-key", "query": "key", "secret": put_secret(deployment, "query", SECRET)}
    assert deployment.run(job(api, auth))["status"] == "COMPLETED"
    assert [request.path for request in api.requests] == [f"/exports?key={SECRET}", f"/a?key={SECRET}"]
    assert SECRET not in seen_of(deployment)


@pytest.mark.parametrize("client", ["body", "basic"])
def test_a_client_gets_a_token_and_uses_it_until_it_expires(
    deployment: Deployment, api: SourceServer, client: str
) -> None:
    api.replies["/token"] = Reply(json.dumps({"access_token": SECRET, "expires_in": 3600}).encode())
    secret = put_secret(deployment, "client", json.dumps({"client_id": "id", "client_secret": "secret-of-client"}))
    auth = {"type": "oauth2", "token_url": api.url("/token"), "secret": secret, "client": client, "scopes": ["a", "b"]}

    assert deployment.run(job(api, auth))["status"] == "COMPLETED"

    (asked,) = [request for request in api.requests if request.path == "/token"]
    form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
    wanted = {"grant_type": "client_credentials", "scope": "a b"}
    if client == "body":
        wanted |= {"client_id": "id", "client_secret": "secret-of-client"}
    assert form == wanted
    assert asked.headers.get("Authorization", "").startswith("Basic") is (client == "basic")
    assert {r.headers.get("Authorization") for r in api.requests if r is not asked} == {f"Bearer {SECRET}"}
    assert SECRET not in seen_of(deployment)


def test_a_refused_client_is_told_by_the_servers_own_word(deployment: Deployment, api: SourceServer) -> None:
    said = {"error": "invalid_client", "error_description": f"bad secret {SECRET}"}
    api.replies["/token"] = Reply(json.dumps(said).encode(), 401)
    secret = put_secret(deployment, "client", json.dumps({"client_id": "id", "client_secret": SECRET}))
    auth = {"type": "oauth2", "token_url": api.url("/token"), "secret": secret}
    assert deployment.run(job(api, auth))["status"] == "FAILED"
    text = deployment.read(f"jobs/{JOB}/summary.json").decode()
    assert json.loads(text)["error"]["type"] == "CredentialsRefusedError"
    assert "invalid_client" in text and SECRET not in text


def test_a_token_that_expires_mid_job_is_renewed_once(deployment: Deployment, api: SourceServer) -> None:
    tokens = iter(["first-token", "second-token"])
    good = {"first-token"}

    def guarded(reply: Reply, *, then: set[str]) -> Any:
        def answer(request: Request) -> Reply:
            if request.headers["Authorization"].removeprefix("Bearer ") not in good:
                return Reply(b"expired", 401)
            good.clear()
            good.update(then)
            return reply

        return answer

    api.replies |= {
        "/token": lambda _: Reply(json.dumps({"access_token": next(tokens), "expires_in": 3600}).encode()),
        "/exports": guarded(Reply(json.dumps({"files": ["/a"]}).encode()), then={"second-token"}),
        "/a": guarded(Reply(b"abc"), then={"second-token"}),
    }
    secret = put_secret(deployment, "client", json.dumps({"client_id": "id", "client_secret": "secret"}))
    auth = {"type": "oauth2", "token_url": api.url("/token"), "secret": secret}
    assert deployment.run(job(api, auth))["status"] == "COMPLETED"
    assert deployment.landed() == {"a": b"abc"}


def test_requests_are_signed_for_aws(deployment: Deployment, api: SourceServer) -> None:
    secret = put_secret(deployment, "aws", json.dumps({"access_key_id": "AKID", "secret_access_key": SECRET}))
    auth = {"type": "aws-sigv4", "region": "eu-west-1", "service": "execute-api", "secret": secret}
    assert deployment.run(job(api, auth))["status"] == "COMPLETED"
    for request in api.requests:
        assert "/eu-west-1/execute-api/aws4_request, SignedHeaders=" in request.headers["Authorization"]
        assert request.headers["X-Amz-Date"]


def test_credentials_go_to_the_apis_own_hosts_alone(deployment: Deployment, api: SourceServer) -> None:
    with SourceServer({"/b": Reply(b"b")}) as other:
        deployment.movers.source._policy._allowed.add(other.host)
        api.replies["/exports"] = Reply(json.dumps({"files": ["/a", other.url("/b")]}).encode())
        auth = {"type": "bearer", "secret": put_secret(deployment, "bearer", SECRET)}
        assert deployment.run(job(api, auth))["status"] == "COMPLETED"
        assert "Authorization" not in other.requests[0].headers
        assert api.requests[-1].headers["Authorization"] == f"Bearer {SECRET}"


def test_what_an_api_echoes_of_a_secret_is_not_told(deployment: Deployment, api: SourceServer) -> None:
    api.replies["/exports"] = lambda request: Reply(f"you sent {request.headers['Authorization']}".encode(), 403)
    auth = {"type": "bearer", "secret": put_secret(deployment, "bearer", SECRET)}
    assert deployment.run(job(api, auth))["status"] == "FAILED"
    text = deployment.read(f"jobs/{JOB}/summary.json").decode()
    assert "you sent Bearer redacted" in text and SECRET not in text


@pytest.mark.parametrize(
    ("auth", "told"),
    [
        ({"type": "bearer"}, "source.auth.secret: expected a value"),
        ({"type": "kerberos"}, "source.auth.type: expected none, basic, bearer, api-key, oauth2, smart, aws-sigv4"),
        ({"type": "api-key", "secret": "s"}, "source.auth: expected header or query, one of them"),
        ({"type": "oauth2", "secret": "s", "token_url": "x"}, "source.auth.token_url: expected a URL"),
        ({"type": "smart", "secret": "s"}, "source.auth: expected token_url"),
    ],
)
def test_a_wrong_scheme_is_told_by_its_path(
    deployment: Deployment, api: SourceServer, auth: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidJobError, match=told.replace("[", r"\[")):
        deployment.start(job(api, auth), deployment.new_execution())
    assert api.requests == []


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [("elsewhere/key", None, "PolicyError"), ("sluiceway/not-there", None, "SecretError"), (None, "{}", "SecretError")],
)
def test_a_secret_that_cannot_be_used_fails_the_job_before_a_request(
    deployment: Deployment, api: SourceServer, name: str | None, text: str | None, error: str
) -> None:
    secret = name or put_secret(deployment, "empty", str(text))
    assert deployment.run(job(api, {"type": "basic", "secret": secret}))["status"] == "FAILED"
    assert json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]["type"] == error
    assert api.requests == []
