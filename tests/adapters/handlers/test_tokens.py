"""Access tokens for those who move files: had from IssueToken, over Lambda's own API, and from nobody else."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from local.http import Request, Response, Server
from sluiceway.aws import clients
from sluiceway.aws.token_function import TokenFunction, TokensThrottledError
from sluiceway.errors import CredentialsRefusedError, PolicyError, SourceUnreachableError, TokenNotIssuedError
from sluiceway.exports.credentials import digest_of
from tests.adapters.handlers.test_fhir import LANDED, put_key
from tests.support.deployment import Deployment
from tests.support.fhir import FhirServer, new_key
from tests.support.secrets import put_secret
from tests.support.source import Reply, SourceServer

JOB = "tokens-1"


@pytest.fixture
def server(source: SourceServer) -> FhirServer:
    return FhirServer(source, key=new_key("ES384"), guarded=True)


def dispatched(deployment: Deployment, server: FhirServer, **auth: Any) -> dict[str, Any]:
    """A job whose files may move; answers as DispatchFiles does."""
    assert server.key is not None
    asked = {"type": "fhir-bulk", "base_url": server.url(), "auth": put_key(deployment, server.key) | auth}
    owner = {"job_id": JOB, "execution": deployment.new_execution()}
    deployment.start({"job_id": JOB, "source": asked}, owner["execution"])
    deployment.invoke("poll_export", owner)
    return owner | deployment.invoke("dispatch_files", owner)


def request_of(deployment: Deployment, state: dict[str, Any], **other: str) -> dict[str, str]:
    """What a mover sends for a file of the job."""
    access = str(deployment.tasks(JOB)[0].access)
    asked = {"job_id": JOB, "execution": str(state["execution"]), "access": access, "part": "auth", "refused": ""}
    return asked | other


SHOW = """
import json, sys
from process_file.handler import handler
from tests.support.deployment import LambdaContext
answers = [handler(event, LambdaContext()) for event in json.load(sys.stdin)]
print(json.dumps({"answers": answers, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


def test_process_file_lands_a_guarded_file_without_a_library_that_signs(
    deployment: Deployment, server: FhirServer
) -> None:
    state = dispatched(deployment, server)
    units = json.loads(deployment.read(state["units_key"]))
    events = [{"job_id": JOB, "execution": state["execution"], "unit": unit} for unit in units]
    code = "import sys; sys.path[:0] = ['lambdas', '.']" + SHOW

    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(events), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stderr.splitlines()[-1])
    assert said["answers"] == [{"action": "DONE"}] * len(units)
    roots = {name.partition(".")[0] for name in said["modules"]}
    assert "sluiceway.aws.token_function" in said["modules"]
    assert not roots & {"cryptography", "_cffi_backend", "cffi", "joserfc", "pydantic"}
    assert "sluiceway.exports.token_endpoint" not in said["modules"]
    assert deployment.landed() == LANDED


def test_a_token_is_kept_for_all_who_ask_until_one_of_them_was_refused_with_it(
    deployment: Deployment, server: FhirServer
) -> None:
    request = request_of(deployment, dispatched(deployment, server))
    first = deployment.invoke("issue_token", request)
    assert deployment.invoke("issue_token", request)["token"] == first["token"]
    assert 0 < first["seconds"] <= 270 and first["age"] >= 0

    second = deployment.invoke("issue_token", request | {"refused": digest_of(first["token"])})

    assert second["token"] not in ("", first["token"])
    # Whoever was refused with the first one later is given what there is.
    again = deployment.invoke("issue_token", request | {"refused": digest_of(first["token"])})
    assert again["token"] == second["token"]


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"execution": "arn:aws:states:us-east-1:123456789012:execution:jobs:another"}, "NotOwnerError"),
        ({"job_id": "somebody-elses"}, "NotOwnerError"),
        ({"access": "jobs/somebody-elses/access-0123456789abcdef.json"}, "NotOwnerError"),
        ({"access": f"jobs/{JOB}/job.json"}, "NotOwnerError"),
        ({"access": f"jobs/{JOB}/access-../job.json"}, "NotOwnerError"),
        ({"part": "link"}, "PolicyError"),
    ],
)
def test_nothing_is_issued_to_whom_the_job_is_not(
    deployment: Deployment, server: FhirServer, other: dict[str, str], error: str
) -> None:
    request = request_of(deployment, dispatched(deployment, server), **other)
    before = len(server.tokens)
    answer = deployment.invoke("issue_token", request)
    assert (answer.keys(), answer["error"]["type"]) == ({"error"}, error)
    assert len(server.tokens) == before


def test_nothing_is_issued_for_a_job_that_has_ended(deployment: Deployment, server: FhirServer) -> None:
    state = dispatched(deployment, server)
    request = request_of(deployment, state)
    deployment.invoke("complete_job", {"detail": {"status": "ABORTED", "executionArn": state["execution"]}})
    before = len(server.tokens)
    assert deployment.invoke("issue_token", request)["error"]["type"] == "NotOwnerError"
    assert len(server.tokens) == before


def test_nothing_is_issued_for_a_job_that_is_being_cancelled(deployment: Deployment, server: FhirServer) -> None:
    request = request_of(deployment, dispatched(deployment, server))
    deployment.jobs.request_cancel(JOB)
    before = len(server.tokens)
    assert deployment.invoke("issue_token", request)["error"]["type"] == "JobStoppedError"
    assert len(server.tokens) == before


def test_what_the_token_endpoint_says_no_with_is_the_files_error_by_its_own_name(
    deployment: Deployment, server: FhirServer, source: SourceServer
) -> None:
    state = dispatched(deployment, server)
    server.revoked.update(server.tokens)
    source.replies[f"{server.path}/token"] = Reply(json.dumps({"error": "invalid_client"}).encode(), 400)
    for unit in json.loads(deployment.read(state["units_key"])):
        deployment.process({"job_id": JOB, "execution": state["execution"]}, unit)
    answer = deployment.invoke("complete_job", {"job_id": JOB, "execution": state["execution"]})
    assert answer["files"]["failed"] == len(LANDED)
    lines = deployment.lines(JOB, "report.jsonl")
    assert {line["error"]["type"] for line in lines} == {"CredentialsRefusedError"}
    assert all("invalid_client" in line["error"]["message"] for line in lines)


def test_a_token_endpoint_is_asked_under_the_url_policy(deployment: Deployment, server: FhirServer) -> None:
    with SourceServer() as inside:
        assert server.key is not None
        asked = {"type": "fhir-bulk", "base_url": server.url(),
                 "auth": put_key(deployment, server.key) | {"token_url": inside.url("/token")}}  # fmt: skip
        assert deployment.run({"job_id": JOB, "source": asked})["status"] == "FAILED"
        assert inside.requests == []
    assert json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]["type"] == "PolicyError"


def test_neither_token_nor_key_is_logged(
    deployment: Deployment, server: FhirServer, logs: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    assert server.key is not None
    request = request_of(deployment, dispatched(deployment, server))
    token = deployment.invoke("issue_token", request)["token"]
    deployment.invoke("issue_token", request | {"refused": digest_of(token)})
    text = logs.getvalue()
    assert "token asked for" in text and JOB in text
    assert not [each for each in (*server.tokens, str(server.key.as_dict(private=True)["d"])) if each in text]


def test_a_private_key_among_other_secrets_is_refused_by_name(deployment: Deployment, server: FhirServer) -> None:
    assert server.key is not None
    auth = put_key(deployment, server.key, "sluiceway/fhir")
    asked = {"type": "fhir-bulk", "base_url": server.url(), "auth": auth}
    assert deployment.run({"job_id": JOB, "source": asked})["status"] == "FAILED"
    error = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]
    assert error["type"] == "PolicyError"
    assert "'sluiceway/fhir' holds a private key: expected a name under 'sluiceway/keys/'" in error["message"]


def test_who_moves_files_reads_no_key_whatever_it_is_named_as(deployment: Deployment) -> None:
    name = put_secret(deployment, "keys/any", json.dumps({"Authorization": "planted"}))
    with pytest.raises(PolicyError, match="functions that move files may not read it"):
        deployment.movers.secrets.headers(name)
    assert deployment.services.secrets.headers(name) == {"Authorization": "planted"}


@pytest.fixture
def answers() -> list[Response]:
    """What Lambda answers an Invoke, in turn; the last again and again."""
    return []


@pytest.fixture
def issuer(deployment: Deployment, answers: list[Response], monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenFunction]:
    def answer(request: Request) -> Response:
        request.body.read()
        return answers.pop(0) if len(answers) > 1 else answers[0]

    lambda_api = Server(answer, name="lambda-api")
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", lambda_api.url)
    monkeypatch.setattr(clients, "ATTEMPTS", 2)
    clients.functions.cache_clear()
    yield TokenFunction(clients.functions(), "issue_token")
    clients.functions.cache_clear()
    lambda_api.close()


def said(value: Any, *headers: tuple[str, str], status: int = 200) -> Response:
    return Response(status, [("Content-Type", "application/json"), *headers], json.dumps(value).encode())


BROKE = ("X-Amz-Function-Error", "Unhandled")


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (said({"error": {"type": "CredentialsRefusedError", "message": "no"}}), CredentialsRefusedError, "no"),
        (said({"error": {"type": "SourceUnreachableError", "message": "no"}}), SourceUnreachableError, "no"),
        (said({"error": {"type": "SourceStatusError", "message": "no"}}), TokenNotIssuedError, "SourceStatusError: no"),
        (said({"error": {"type": "sys", "message": "no"}}), TokenNotIssuedError, "sys: no"),
        (said({"errorType": "Sandbox.Timedout", "errorMessage": "planted"}, BROKE), TokenNotIssuedError, "Timedout"),
        (said({"Message": "no"}, ("x-amzn-ErrorType", "AccessDeniedException"), status=403), TokenNotIssuedError,
         "AccessDeniedException"),
        (said({"Reason": "x"}, ("x-amzn-ErrorType", "TooManyRequestsException"), status=429), TokensThrottledError,
         "TooManyRequestsException"),
    ],
)  # fmt: skip
def test_what_an_invocation_comes_to_has_a_name(
    issuer: TokenFunction, answers: list[Response], answer: Response, error: type[Exception], text: str
) -> None:
    answers.append(answer)
    with pytest.raises(error) as caught:
        issuer.issue({"at": {"job_id": JOB}}, "")
    assert type(caught.value) is error
    assert text in str(caught.value) and "planted" not in str(caught.value)


def test_throttling_that_passes_is_waited_out(issuer: TokenFunction, answers: list[Response]) -> None:
    busy = said({"Reason": "x"}, ("x-amzn-ErrorType", "TooManyRequestsException"), status=429)
    answers += [busy, said({"token": "t", "seconds": 9, "age": 1})]
    assert issuer.issue({"at": {"job_id": JOB}}, "") == ("t", 9.0, 1.0)


def test_files_that_find_no_room_for_their_token_have_no_end_yet(
    deployment: Deployment, server: FhirServer, issuer: TokenFunction, answers: list[Response]
) -> None:
    state = dispatched(deployment, server)
    answers.append(said({"Reason": "x"}, ("x-amzn-ErrorType", "TooManyRequestsException"), status=429))
    unit = json.loads(deployment.read(state["units_key"]))[0]
    # The invocation ends, which makes room, and the state machine tries it again by this name.
    with pytest.raises(TokensThrottledError):
        deployment.invoke("process_file", {"job_id": JOB, "execution": state["execution"], "unit": unit})
    assert deployment.files.results(JOB, 1, deployment.tasks(JOB)) == {}
