"""Functions through the Lambda API: real processes with the template's handler, environment, time and memory."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.local.support import CODE, MAX_PROCESSES, Lab, code_of, single, task


def invoke(lab: Lab, name: str, event: Any, kind: str = "RequestResponse") -> tuple[Any, str | None]:
    """The payload, and the function error."""
    reply = lab.engine.client("lambda").invoke(
        FunctionName=name, Payload=json.dumps(event).encode(), InvocationType=kind
    )
    return json.loads(reply["Payload"].read() or b"null"), reply.get("FunctionError")


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 30
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)
    return path.read_text()


def test_a_function_sees_what_lambda_sets_and_nothing_of_the_callers(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVATE_OF_THE_CALLER", "secret")
    seen, error = invoke(lab, "about", {})
    assert error is None
    environment = seen["environment"]
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "about"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == seen["memory"] == "256"
    assert environment["AWS_ENDPOINT_URL"] == lab.engine.endpoint_url
    assert environment["LAMBDA_TASK_ROOT"] == seen["folder"] == str(CODE)
    assert 0 < seen["left_ms"] <= 30_000
    assert "PRIVATE_OF_THE_CALLER" not in environment


def test_a_process_is_used_again_while_it_is_warm(lab: Lab) -> None:
    first, second = invoke(lab, "about", {})[0], invoke(lab, "about", {})[0]
    assert (second["pid"], second["calls"]) == (first["pid"], first["calls"] + 1)
    report = lab.engine.reports[-1]
    assert (report.function, report.outcome, report.init_ms) == ("about", "ok", None)
    assert 0 < report.max_memory_mb < 256


def test_an_exception_carries_its_class_name_and_the_process_lives_on(lab: Lab) -> None:
    payload, error = invoke(lab, "fail", {"a": 1})
    assert (error, payload["errorType"]) == ("Unhandled", "OrderlyError")
    assert payload["errorMessage"] == 'no {"a": 1}'
    assert lab.engine.reports[-1].outcome == "OrderlyError"


def test_a_function_is_killed_past_its_timeout(lab: Lab, tmp_path: Path) -> None:
    payload, error = invoke(lab, "short", {"seconds": 60, "mark": str(tmp_path / "pid")})
    assert (error, payload["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert "Task timed out after 1.00 seconds" in payload["errorMessage"]
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
    assert lab.engine.reports[-1].outcome == "Sandbox.Timedout"
    assert invoke(lab, "short", {"seconds": 0}) == ({"slept": 0}, None)


def test_functions_that_call_another_one_never_wait_for_each_others_room(lab: Lab, tmp_path: Path) -> None:
    # As many as the engine has processes, each keeping its own while it waits for an answer.
    def one(n: int) -> tuple[Any, str | None]:
        return invoke(lab, "call", {"folder": str(tmp_path), "callers": MAX_PROCESSES, "say": n})

    with ThreadPoolExecutor(MAX_PROCESSES) as threads:
        answers = list(threads.map(one, range(MAX_PROCESSES)))
    assert answers == [(n, None) for n in range(MAX_PROCESSES)]


@pytest.mark.parametrize("mb", [150, 1500])
def test_a_function_is_killed_past_its_memory_however_briefly(lab: Lab, mb: int) -> None:
    assert invoke(lab, "fill", {"mb": 10}) == (10 * 1024 * 1024, None)
    payload, error = invoke(lab, "fill", {"mb": mb})
    assert (error, payload["errorType"]) == ("Unhandled", "Runtime.ExitError")
    report = lab.engine.reports[-1]
    assert report.outcome == "Runtime.OutOfMemory" and report.max_memory_mb > 128
    assert invoke(lab, "fill", {"mb": 10})[1] is None


@pytest.mark.parametrize("code, says", [(3, "exit status 3"), (0, "without providing a reason")])
def test_a_process_that_leaves_is_an_exit_error(lab: Lab, code: int, says: str) -> None:
    payload, error = invoke(lab, "leave", {"code": code})
    assert (error, payload["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert says in payload["errorMessage"]


def test_a_process_killed_amid_its_work_is_an_exit_error(lab: Lab, tmp_path: Path) -> None:
    execution = lab.start(single(task("sleep")), {"seconds": 60, "mark": str(tmp_path / "pid")})
    os.kill(int(wait_for(tmp_path / "pid")), 9)
    found = lab.wait(execution)
    assert (found["status"], found["error"]) == ("FAILED", "Runtime.ExitError")
    assert "signal: killed" in found["cause"]


def test_limits_on_payloads(lab: Lab) -> None:
    payload, error = invoke(lab, "long", {"bytes": 6 * 1024 * 1024 + 1})
    assert (error, payload["errorType"]) == ("Unhandled", "Function.ResponseSizeTooLarge")
    assert code_of(lambda: invoke(lab, "echo", "x" * (6 * 1024 * 1024 + 1))) == "RequestTooLargeException"
    assert code_of(lambda: invoke(lab, "none", {})) == "ResourceNotFoundException"


def test_an_asynchronous_invocation_returns_at_once_and_runs(lab: Lab) -> None:
    before = len(lab.heard(0))
    assert invoke(lab, "write", {"asynchronous": True}, "Event") == (None, None)
    assert lab.heard(before + 1)[-1] == {"asynchronous": True}


def test_processes_never_exceed_the_cap(lab: Lab) -> None:
    child = task("sleep", Parameters={"FunctionName": "sleep", "Payload": {"seconds": 0.02}})
    state = {"Type": "Map", "End": True, "ItemProcessor": {"StartAt": "Child", "States": {"Child": child}}}
    execution = lab.start(single(state), list(range(24)))
    most = 0
    while lab.engine.client("stepfunctions").describe_execution(executionArn=execution)["status"] == "RUNNING":
        most = max(most, len(lab.engine.pids()))
    assert lab.wait(execution)["status"] == "SUCCEEDED"
    assert 0 < most <= 5  # four, and one on its way out


def test_what_a_function_says_is_in_its_log_with_a_report(lab: Lab) -> None:
    invoke(lab, "fail", {"said": "here"})
    (log,) = lab.engine.logs.glob("*/fail.log")
    text = log.read_text()
    assert "OrderlyError" in text and "REPORT RequestId:" in text and "Memory Size: 256 MB" in text
