"""Events, secrets and task tokens: what is sent, and what is said when it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sluiceway.aws.events import ATTEMPTS, EventBus
from sluiceway.aws.secrets import Secrets
from sluiceway.aws.tasks import CAUSE_CHARS, ERROR_CHARS, TaskTokens
from sluiceway.errors import PolicyError, PublishError, SecretError
from sluiceway.jobs.events import Event
from tests.support.deployment import Deployment


def test_events_reach_the_bus_however_many(deployment: Deployment) -> None:
    deployment.services.bus.publish(Event("Sluiceway Job State Change", {"n": n}) for n in range(23))
    events = deployment.events()
    assert sorted(event["detail"]["n"] for event in events) == list(range(23))
    assert {(event["source"], event["detail-type"]) for event in events} == {
        ("sluiceway", "Sluiceway Job State Change")
    }


class Bus:
    """Takes at most ten entries, and refuses the first of each request as often as it is told."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.taken = refusals, list[Any]()

    def put_events(self, Entries: Any) -> Any:
        assert 1 <= len(Entries) <= 10
        answers = [{"EventId": "1"} for _ in Entries]
        if self.refusals:
            self.refusals -= 1
            answers[0] = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
        self.taken += [
            json.loads(entry["Detail"])["n"]
            for entry, answer in zip(Entries, answers, strict=True)
            if "EventId" in answer
        ]
        return {"FailedEntryCount": 0, "Entries": answers}


def test_only_the_refused_events_are_sent_again() -> None:
    client = Bus(refusals=2)
    EventBus(client, "bus", sleep=lambda _: None).publish(Event("t", {"n": n}) for n in range(11))
    assert sorted(client.taken) == list(range(11))


def test_events_refused_for_good_are_an_error() -> None:
    bus = EventBus(Bus(refusals=99), "bus", sleep=lambda _: None)
    with pytest.raises(PublishError, match=rf"refused 1 event\(s\) {ATTEMPTS} times: ThrottlingException"):
        bus.publish([Event("t", {"n": 1})])


@pytest.fixture
def secrets(deployment: Deployment) -> Secrets:
    client = deployment.client("secretsmanager")
    for name, value in {"good": '{"Authorization": "planted"}', "text": "planted", "list": '["planted"]',
                        "number": '{"Authorization": 5}'}.items():  # fmt: skip
        name = f"{deployment.table}/{name}"
        client.create_secret(Name=name, SecretString=value)
    client.create_secret(Name=f"{deployment.table}/bytes", SecretBinary=b"planted")
    return Secrets(client, f"{deployment.table}/")


def test_a_secret_holds_headers(secrets: Secrets) -> None:
    assert secrets.headers(f"{secrets.prefix}good") == {"Authorization": "planted"}


@pytest.mark.parametrize("name", ["text", "list", "number", "bytes", "absent"])
def test_a_secret_that_holds_something_else_is_an_error_that_does_not_show_it(secrets: Secrets, name: str) -> None:
    with pytest.raises(SecretError) as caught:
        secrets.headers(f"{secrets.prefix}{name}")
    assert name in str(caught.value) and "planted" not in str(caught.value)


def test_a_secret_outside_the_prefix_is_not_asked_for() -> None:
    with pytest.raises(PolicyError, match="outside 'sluiceway/'"):
        Secrets(None, "sluiceway/").headers("production/database")


class StepFunctions:
    def __init__(self, code: str | None = None) -> None:
        self.calls: list[dict[str, str]] = []
        self._code = code

    def answer(self, **arguments: str) -> None:
        self.calls.append(arguments)
        if self._code:
            raise ClientError({"Error": {"Code": self._code, "Message": ""}}, "SendTask")

    send_task_success = send_task_failure = answer


def test_a_token_is_answered_with_the_output() -> None:
    client = StepFunctions()
    TaskTokens(client).succeed("token", {"a": 1})
    assert client.calls == [{"taskToken": "token", "output": '{"a": 1}'}]


def test_a_failure_is_cut_to_what_step_functions_takes() -> None:
    client = StepFunctions()
    TaskTokens(client).fail("token", "e" * 999, "c" * 99999)
    (call,) = client.calls
    assert (len(call["error"]), len(call["cause"])) == (ERROR_CHARS, CAUSE_CHARS)


@pytest.mark.parametrize("code", ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"])
def test_a_token_answered_before_is_no_error(code: str) -> None:
    client = StepFunctions(code)
    TaskTokens(client).succeed("token", {})
    assert len(client.calls) == 1


def test_a_token_that_may_not_be_answered_is_an_error() -> None:
    with pytest.raises(ClientError):
        TaskTokens(StepFunctions("AccessDeniedException")).succeed("token", {})
