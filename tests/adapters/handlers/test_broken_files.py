"""A file that an error strikes which nobody foresaw: what becomes of it, and of the others of its unit."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from sluiceway.aws.token_function import TokensThrottledError
from sluiceway.jobs.files import FileTask
from sluiceway.steps import processing
from tests.adapters.handlers.late_units import JOB, Clock, invoke, report, taking, unit_of
from tests.support.deployment import Deployment
from tests.support.source import SourceServer

SECRET = "planted-s3cret"


class OddError(Exception):
    pass


@pytest.fixture
def settings() -> dict[str, str]:
    return {"batch_threads": "1"}


def strike(monkeypatch: pytest.MonkeyPatch, error: Exception, key: str = "0") -> None:
    land = processing.land_or_pause

    def landing(task: FileTask, *rest: Any) -> Any:
        if task.key == key:
            raise error
        return land(task, *rest)

    monkeypatch.setattr(processing, "land_or_pause", landing)


def test_it_ends_under_its_own_name_while_others_wait(
    deployment: Deployment,
    source: SourceServer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source.replies |= {f"/{n}": taking(clock, 400) for n in range(4)}
    event = unit_of(deployment, source, 4)
    strike(monkeypatch, OddError(f"at https://files.example/a?sig={SECRET}"))

    with caplog.at_level(logging.ERROR):
        answer = invoke(deployment, event, clock)
    # Two files took nearly all the time there was, and the fourth is left to the next invocation.
    assert answer["action"] == "CONTINUE"
    assert invoke(deployment, answer, clock) == {"action": "DONE"}

    lines = report(deployment, event)
    assert [line["status"] for line in lines] == ["FAILED", "STORED", "STORED", "STORED"]
    assert lines[0]["error"] == {"type": "OddError", "message": "at https://files.example/a?redacted"}
    assert "nobody foresaw what became of 0" in caplog.text and "OddError" in caplog.text
    assert SECRET not in caplog.text


def test_it_ends_the_invocation_where_no_other_file_goes_on(
    deployment: Deployment, source: SourceServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.replies |= {f"/{n}": taking(clock, 1) for n in range(2)}
    event = unit_of(deployment, source, 2)
    strike(monkeypatch, OddError("odd"))

    with pytest.raises(OddError):
        invoke(deployment, event, clock)

    # Its neighbour has its end already.
    assert [result.state for result in deployment.files.results(JOB, 1, deployment.tasks(JOB)).values()] == ["STORED"]


def test_where_no_file_is_to_blame_none_is_ended(
    deployment: Deployment, source: SourceServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.replies |= {f"/{n}": taking(clock, 811) for n in range(3)}
    event = unit_of(deployment, source, 3)
    strike(monkeypatch, TokensThrottledError("no room"))

    with pytest.raises(TokensThrottledError):
        invoke(deployment, event, clock)

    assert deployment.tasks(JOB)[0].file_id not in deployment.files.results(JOB, 1, deployment.tasks(JOB))
