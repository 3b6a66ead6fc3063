"""Executions through the Step Functions API: the interpreter keeps AWS's rules where the workflow relies on them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from local.asl import UnsupportedAslError, normalise
from tests.local.support import Lab, code_of, single, task

LIMIT = 262_144


def test_states_pass_their_documents_on(lab: Lab) -> None:
    definition = {
        "StartAt": "Make",
        "States": {
            "Make": {"Type": "Pass", "Parameters": {"name.$": "$$.Execution.Name", "n.$": "$.n"}, "Next": "Ask"},
            "Ask": task("echo", End=False, Next="Rest") | {"ResultPath": "$.echo", "OutputPath": "$"},
            "Rest": {"Type": "Wait", "Seconds": 1000, "Next": "Which"},
            "Which": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.echo.Payload.n", "NumericEquals": 7, "Next": "Good"}],
                "Default": "Bad",
            },
            "Good": {"Type": "Succeed", "OutputPath": "$.echo.Payload"},
            "Bad": {"Type": "Fail", "Error": "Wrong", "Cause": "n is not 7"},
        },
    }
    del definition["States"]["Ask"]["End"]
    found = lab.run(definition, {"n": 7})
    assert found["status"] == "SUCCEEDED" and json.loads(found["output"])["n"] == 7
    assert json.loads(found["output"])["name"] == found["name"]
    assert (lab.run(definition, {"n": 8})["error"], lab.run(definition, {"n": 8})["status"]) == ("Wrong", "FAILED")


@pytest.mark.parametrize(
    "name, document, error",
    [
        ("fail", {}, "OrderlyError"),
        ("leave", {"code": 1}, "Runtime.ExitError"),
        ("short", {"seconds": 60}, "Sandbox.Timedout"),
        ("absent", {}, "Lambda.ResourceNotFoundException"),
    ],
)
def test_errors_have_the_names_that_a_catch_matches(lab: Lab, name: str, document: Any, error: str) -> None:
    caught = {"ErrorEquals": [error], "ResultPath": "$.error", "Next": "Caught"}
    other = {"ErrorEquals": ["SomeOtherError"], "Next": "Other"}
    state = {key: value for key, value in task(name).items() if key != "End"}
    definition = {
        "StartAt": "Only",
        "States": {
            "Only": {**state, "Next": "Other", "Catch": [other, caught]},
            "Caught": {"Type": "Pass", "OutputPath": "$.error.Error", "End": True},
            "Other": {"Type": "Fail"},
        },
    }
    assert error in lab.run(definition, document)["output"]


def test_a_retry_invokes_again(lab: Lab) -> None:
    retry = [{"ErrorEquals": ["OrderlyError"], "IntervalSeconds": 1, "MaxAttempts": 2, "JitterStrategy": "FULL"}]
    before = len(lab.engine.reports)
    found = lab.run(single(task("fail", Retry=retry)))
    assert (found["status"], found["error"]) == ("FAILED", "OrderlyError")
    assert [report.outcome for report in lab.engine.reports[before:]] == ["OrderlyError"] * 3


@pytest.mark.parametrize("size, status", [(LIMIT - 200, "SUCCEEDED"), (LIMIT, "FAILED")])
def test_a_result_over_256_kib_fails_and_states_all_does_not_catch_it(lab: Lab, size: int, status: str) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    state = {key: value for key, value in task("long").items() if key != "End"}
    definition = {
        "StartAt": "Only",
        "States": {
            "Only": {**state, "ResultSelector": {"Payload": "small"}, "Catch": catch, "Next": "Done"},
            "Caught": {"Type": "Fail", "Error": "Caught"},
            "Done": {"Type": "Succeed"},
        },
    }
    found = lab.run(definition, {"bytes": size})
    assert found["status"] == status
    assert found.get("error") == (None if status == "SUCCEEDED" else "States.DataLimitExceeded")


def test_an_input_over_256_kib_is_refused(lab: Lab) -> None:
    definition = single({"Type": "Pass", "End": True})
    assert code_of(lambda: lab.start(definition, "x" * (LIMIT - 1))) == "ValidationException"
    assert lab.run(definition, "x" * (LIMIT - 2))["status"] == "SUCCEEDED"


def test_a_history_over_25_000_events_fails_past_every_catch(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.interpreter.MAX_HISTORY_EVENTS", 100)
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Again"}]
    state = {key: value for key, value in task("echo").items() if key != "End"}
    definition = {
        "StartAt": "Again",
        "States": {"Again": {**state, "Next": "More", "Catch": catch}, "More": {"Type": "Pass", "Next": "Again"}},
    }
    found = lab.run(definition)
    assert found["status"] == "FAILED" and "maximum number of history events" in found["cause"]


def test_a_deadline_ends_the_execution_and_what_it_runs(lab: Lab, tmp_path: Path) -> None:
    document = {"seconds": 60, "mark": str(tmp_path / "pid")}
    found = lab.run(single(task("sleep"), TimeoutSeconds=2), document)
    assert found["status"] == "TIMED_OUT"
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 20
    while pid in lab.engine.pids():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    "state, refused",
    [
        ({"Type": "Task", "Resource": "x", "End": True, "Assign": {"a": 1}}, "Only: field Assign"),
        ({"Type": "Pass", "End": True, "QueryLanguage": "JSONata"}, "QueryLanguage JSONata"),
        ({"Type": "Wait", "Sceonds": 1, "End": True}, "field Sceonds"),
        ({"Type": "Hold", "End": True}, "state type 'Hold'"),
        (
            {"Type": "Map", "End": True, "ItemBatcher": {"MaxItemsPerBatch": 2},
             "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
                               "StartAt": "C", "States": {"C": {"Type": "Odd"}}},
             "ItemReader": {"Resource": "r", "ReaderConfig": {"InputType": "JSONL"}}},
            "C: state type 'Odd'; Only: ExecutionType EXPRESS; Only: InputType JSONL",
        ),
        (
            {"Type": "Map", "End": True, "ResultWriter": {},
             "ItemProcessor": {"StartAt": "C", "States": {"C": {"Type": "Succeed"}}}},
            "ResultWriter in an inline map",
        ),
    ],
)  # fmt: skip
def test_what_the_engine_does_not_honour_is_refused_by_name(state: dict[str, Any], refused: str) -> None:
    with pytest.raises(UnsupportedAslError, match=None) as caught:
        normalise(json.dumps(single(state)))
    assert refused in str(caught.value)


def test_a_refused_field_is_an_invalid_definition(lab: Lab) -> None:
    bad = single({"Type": "Pass", "End": True, "Assign": {"a": 1}})
    assert code_of(lambda: lab.machine(bad)) == "InvalidDefinition"
