"""Files whose parts the function's memory cannot hold are handed to the one with more."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.conftest import AwsServer
from tests.support.deployment import Deployment, deploy, forget_services
from tests.support.source import Body, Reply, SourceServer

TIB = 1024**4


@pytest.fixture
def deployment(moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, source: SourceServer) -> Iterator[Deployment]:
    with deploy(moto_server, monkeypatch, allowed_sources=source.host, max_file_bytes=str(9 * TIB)) as deployment:
        yield deployment


def unit_of(deployment: Deployment, source: SourceServer) -> dict[str, object]:
    execution = deployment.new_execution()
    owner = {"execution": execution, "job_id": "huge"}
    deployment.start({"job_id": "huge", "source": {"type": "urls", "files": [source.url("/huge")]}}, execution)
    state = deployment.invoke("dispatch_files", owner)
    (unit,) = json.loads(deployment.read(state["units_key"]))
    return {**owner, "unit": unit}


def test_process_file_hands_over_what_needs_larger_parts(deployment: Deployment, source: SourceServer) -> None:
    # The server announces 1 TiB: 10,000 parts of 110 MB, three of which 512 MB cannot hold.
    source.replies |= {"/huge": Reply(Body(1000), length=TIB)}
    event = unit_of(deployment, source)

    answer = deployment.invoke("process_file", event)

    assert answer == {**event, "action": "LARGE"}
    assert deployment.unfinished_uploads() == []


def test_the_larger_function_says_so_where_even_it_is_too_small(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.replies |= {"/huge": Reply(Body(1000), length=8 * TIB)}
    event = unit_of(deployment, source)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "5120")
    forget_services()

    assert deployment.invoke("process_file_large", event)["action"] == "DONE"
    answer = deployment.invoke("complete_job", {name: event[name] for name in ("execution", "job_id")})

    assert answer["files"]["failed"] == 1
    (line,) = deployment.lines("huge", "report.jsonl")
    assert line["error"]["type"] == "PlanError"
