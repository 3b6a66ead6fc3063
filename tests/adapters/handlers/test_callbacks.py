"""Being called by an export API: who is believed, and that the call and the waiting workflow may come in any order."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluiceway.errors import ExportTimeoutError
from tests.support.deployment import Deployment, deploy
from tests.support.secrets import put_secret
from tests.support.source import Answer, Reply, Request, SourceServer

JOB, KEY = "called-1", "a-shared-key"
STARTED = Reply(b'{"id": "1"}')


@dataclass
class Tokens:
    answered: list[str] = field(default_factory=list)

    def succeed(self, token: str, output: Any) -> None:
        self.answered.append(token)


@pytest.fixture
def settings() -> dict[str, str]:
    return {"callback_url": "https://calls.example/"}


@pytest.fixture
def tokens(deployment: Deployment) -> Tokens:
    tokens = Tokens()
    deployment.services.__dict__["tokens"] = tokens
    return tokens


@dataclass
class Vendor:
    """Was given a callback URL in the start request, and calls it."""

    deployment: Deployment
    source: SourceServer
    owner: dict[str, str] = field(default_factory=dict)

    def start(self, *, polls: int = 1, on_start: Answer = STARTED, **more: Any) -> dict[str, Any]:
        said = {"status": "DONE", "files": [{"url": "/a"}]}
        self.source.replies |= {"/exports": on_start, "/exports/1": Reply(json.dumps(said).encode()),
                                "/a": Reply(b"abc")}  # fmt: skip
        callback = {"secret": put_secret(self.deployment, "calls", KEY), "timestamp_header": "X-Time", "prefix": "v1=",
                    "timeout_minutes": 5, **more}  # fmt: skip
        document = {"job_id": JOB, "source": {
            "type": "http", "wait": "callback", "callback": callback,
            "start": {"url": self.source.url("/exports"), "json": {"notify": "{{ callback:url }}"}},
            "poll": {"url": self.source.url("/exports/{{ id }}"), "status": "status",
                     "max_polls": polls, "status_mapping": {"running": ["RUNNING"], "completed": ["DONE"]}},
            "files": {"list": "files"},
        }}  # fmt: skip
        execution = self.deployment.new_execution()
        self.owner = {"job_id": JOB, "execution": execution}
        return self.deployment.start(document, execution)

    @property
    def url(self) -> str:
        return str(json.loads(self.source.requests[0].body)["notify"])

    def call(self, *, key: str = KEY, age: int = 0, said: bytes = b'{"done": true}', **event: Any) -> int:
        stamp = str(int(time.time()) - age)
        signature = hmac.new(key.encode(), stamp.encode() + b"." + said, hashlib.sha256).hexdigest()
        answer = self.deployment.invoke("export_callback", {
            "version": "2.0", "rawPath": "/" + self.url.rpartition("/")[2],
            "headers": {"x-time": stamp, "x-signature": f"v1={signature}"},
            "requestContext": {"http": {"method": "POST"}},
            "body": base64.b64encode(said).decode(), "isBase64Encoded": True, **event,
        })  # fmt: skip
        return int(answer["statusCode"])

    def wait(self, token: str = "token-1") -> bool:
        return bool(self.deployment.invoke("await_export", {**self.owner, "token": token})["was_called"])


@pytest.fixture
def vendor(deployment: Deployment, source: SourceServer, tokens: Tokens) -> Vendor:
    return Vendor(deployment, source)


def test_the_api_is_given_an_address_nobody_guesses(vendor: Vendor) -> None:
    answer = vendor.start()
    # A heartbeat that would outlast the job's patience stands in for its end: Step Functions wants it the shorter.
    assert (answer["action"], answer["heartbeat_seconds"], answer["wait_seconds"]) == ("CALLBACK", 300, 301)
    base, _, callback_id = vendor.url.rpartition("/")
    assert (base, len(callback_id) >= 43) == ("https://calls.example", True)
    assert callback_id not in json.dumps(answer)


def test_a_call_wakes_the_workflow_that_waits(vendor: Vendor, tokens: Tokens) -> None:
    vendor.start()
    assert vendor.wait() is False
    assert tokens.answered == []
    assert vendor.call() == 202
    assert tokens.answered == ["token-1"]


def test_a_call_that_comes_before_the_start_is_answered_wakes_the_workflow_at_once(
    vendor: Vendor, tokens: Tokens
) -> None:
    codes: list[int] = []

    def started(_: Request) -> Reply:
        codes.append(vendor.call())
        return Reply(b'{"id": "1"}')

    assert vendor.start(on_start=started)["action"] == "CALLBACK"
    assert (codes, vendor.wait(), tokens.answered) == ([202], True, ["token-1"])


def test_a_call_that_comes_before_the_workflow_waits_is_not_lost(vendor: Vendor, tokens: Tokens) -> None:
    vendor.start()
    assert vendor.call() == 202
    assert tokens.answered == []
    assert vendor.wait() is True
    assert tokens.answered == ["token-1"]


def test_after_the_call_the_list_is_read_and_landed(deployment: Deployment, vendor: Vendor) -> None:
    vendor.start()
    vendor.wait()
    vendor.call()
    assert deployment.invoke("poll_export", vendor.owner)["action"] == "READY"
    state = deployment.invoke("dispatch_files", vendor.owner)
    for unit in json.loads(deployment.read(state["units_key"])):
        deployment.process(vendor.owner, unit)
    assert deployment.invoke("complete_job", vendor.owner)["status"] == "COMPLETED"
    assert deployment.landed() == {"a": b"abc"}


def test_without_a_call_the_job_asks_once_and_waits_again(
    deployment: Deployment, vendor: Vendor, tokens: Tokens
) -> None:
    vendor.start()
    vendor.wait("token-1")
    vendor.source.replies["/exports/1"] = Reply(b'{"status": "RUNNING"}')
    assert deployment.invoke("poll_export", vendor.owner)["action"] == "CALLBACK"
    vendor.wait("token-2")
    vendor.call()
    assert tokens.answered == ["token-2"]


def test_without_a_sign_of_life_the_job_asks_and_sleeps_on_until_it_counts_on_no_call(
    deployment: Deployment, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = vendor.start(heartbeat_minutes=2, polls=9)
    assert (answer["heartbeat_seconds"], answer["wait_seconds"]) == (120, 300)
    vendor.source.replies["/exports/1"] = Reply(b'{"status": "RUNNING"}')
    began = time.time()
    seen = []
    for minutes in (2, 4, 5.01):
        monkeypatch.setattr(time, "time", lambda at=minutes: began + at * 60)
        answer = deployment.invoke("poll_export", vendor.owner)
        seen.append((answer["action"], answer.get("heartbeat_seconds")))
    assert seen == [("CALLBACK", 120), ("CALLBACK", 60), ("POLL", None)]


def test_called_too_early_the_job_polls_on(deployment: Deployment, vendor: Vendor) -> None:
    vendor.start()
    vendor.call()
    vendor.source.replies["/exports/1"] = Reply(b'{"status": "RUNNING"}')
    assert deployment.invoke("poll_export", vendor.owner)["action"] == "POLL"


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "another-key"},
        {"age": 301},
        {"age": -301},
        {"headers": {}},
        {"headers": {"x-time": "soon", "x-signature": "v1=00"}},
        {"rawPath": "/no-such-id"},
        {"rawPath": "/"},
        {"requestContext": {"http": {"method": "GET"}}},
        {"body": "not base64!"},
        {"body": "A" * 300_000},
    ],
)
def test_a_call_that_is_not_proven_wakes_nobody(vendor: Vendor, tokens: Tokens, wrong: dict[str, Any]) -> None:
    vendor.start()
    vendor.wait()
    assert vendor.call(**wrong) == 403
    assert tokens.answered == []
    # And it spoils nothing: the true call is still heard.
    assert vendor.call() == 202
    assert tokens.answered == ["token-1"]


def test_a_call_counts_once(deployment: Deployment, vendor: Vendor, tokens: Tokens) -> None:
    vendor.start()
    vendor.wait()
    assert [vendor.call(), vendor.call()] == [202, 403]
    assert tokens.answered == ["token-1"]


def test_a_refused_call_is_counted_and_says_nothing_to_its_caller(
    deployment: Deployment, vendor: Vendor, capsys: pytest.CaptureFixture[str]
) -> None:
    vendor.start()
    vendor.call(key="another-key")
    printed = capsys.readouterr().out
    assert '"CallbacksRejected":[1.0]' in printed
    row = next(row for row in deployment.rows() if row["pk"]["S"].startswith("CALLBACK#"))
    assert (row["rejected"]["N"], row["last_rejected"]["S"]) == ("1", "the signature is wrong: '{\"done\": true}'")


def test_calls_that_were_refused_are_told_in_the_outcome_of_a_job_that_gives_up(
    deployment: Deployment, vendor: Vendor
) -> None:
    vendor.start()
    vendor.call(key="another-key", said=b'{"see": "https://h.example/?sig=planted"}' + b"x" * 1000)
    vendor.source.replies["/exports/1"] = Reply(b'{"status": "RUNNING"}')
    deployment.invoke("poll_export", vendor.owner)
    told = r"1 calls were refused \(CallbackRejectedError\), the last: the signature is wrong: '.\"see\": \"https://h.e"
    with pytest.raises(ExportTimeoutError, match=told) as caught:
        deployment.invoke("poll_export", vendor.owner)
    assert "planted" not in str(caught.value) and len(str(caught.value)) < 900


def test_base64_signatures_of_the_body_alone_are_understood(vendor: Vendor, tokens: Tokens) -> None:
    vendor.start(timestamp_header=None, encoding="base64", algorithm="sha512", prefix="")
    vendor.wait()
    body = b"done"
    signature = base64.b64encode(hmac.new(KEY.encode(), body, hashlib.sha512).digest()).decode()
    assert vendor.call(said=body, headers={"x-signature": signature}) == 202


def test_a_deployment_without_an_address_refuses_to_wait_for_a_call(
    moto_server: Any, monkeypatch: pytest.MonkeyPatch, source: SourceServer
) -> None:
    with deploy(moto_server, monkeypatch, allowed_sources=source.host) as deployment:
        with pytest.raises(Exception, match="no address for callbacks"):
            Vendor(deployment, source).start()
        assert source.requests == []
