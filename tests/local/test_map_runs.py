"""Distributed Maps: thousands of children, failures counted, results written, stops that stop."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.local.support import Lab, single, task

READER = {
    "Resource": "arn:aws:states:::s3:getObject",
    "ReaderConfig": {"InputType": "JSON"},
    "Parameters": {"Bucket": "data", "Key.$": "$.items"},
}


def distributed(child: dict[str, Any], **fields: Any) -> dict[str, Any]:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Child",
        "States": {"Child": child},
    }
    return {"Type": "Map", "End": True, "ItemProcessor": processor, "ItemReader": READER, **fields}


def put_items(lab: Lab, items: list[Any]) -> dict[str, str]:
    key = f"items/{len(items)}.json"
    lab.engine.client("s3").put_object(Bucket="data", Key=key, Body=json.dumps(items))
    return {"items": key}


def read(lab: Lab, key: str) -> Any:
    return json.loads((lab.engine.store / "data" / key).read_bytes())


def test_more_than_a_thousand_children_end_in_order(lab: Lab) -> None:
    """Where the interpreter by itself dies of recursion (local/ replaces its loop)."""
    writer = {"Resource": "arn:aws:states:::s3:putObject",
              "Parameters": {"Bucket": "data", "Prefix.$": "States.Format('out/{}', $.items)"}}  # fmt: skip
    selector = {"n.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index", "from.$": "$.items"}
    state = distributed(task("echo"), ResultWriter=writer, ItemSelector=selector, MaxConcurrency=8)
    found = lab.run(single(state), put_items(lab, list(range(1200))))
    assert found["status"] == "SUCCEEDED"
    manifest = read(lab, json.loads(found["output"])["ResultWriterDetails"]["Key"])
    (file,) = manifest["ResultFiles"]["SUCCEEDED"]
    assert file["Key"].startswith("out/items/1200.json/")
    results = read(lab, file["Key"])
    wanted = [{"n": n, "i": n, "from": "items/1200.json"} for n in range(1200)]
    assert [json.loads(result["Output"]) for result in results] == wanted
    assert len({result["ExecutionArn"] for result in results}) == 1200


def test_a_child_is_an_execution_of_its_own(lab: Lab) -> None:
    child = {"Type": "Pass", "Parameters": {"id.$": "$$.Execution.Id", "input.$": "$$.Execution.Input"}, "End": True}
    found = lab.run(single(distributed(child, Label="Files")), put_items(lab, ["a", "b"]))
    first, second = json.loads(found["output"])
    assert (first["input"], second["input"]) == ("a", "b")
    assert first["id"] != second["id"] and "/Files:" in first["id"] and first["id"] != found["executionArn"]


@pytest.mark.parametrize(
    "bad, tolerance, status",
    [
        ([], {}, "SUCCEEDED"),
        ([3], {}, "FAILED"),
        ([3], {"ToleratedFailureCount": 1}, "SUCCEEDED"),
        ([3, 4], {"ToleratedFailureCount": 1}, "FAILED"),
        ([3, 4], {"ToleratedFailurePercentage": 20}, "SUCCEEDED"),
        ([3, 4, 5], {"ToleratedFailurePercentage": 20}, "FAILED"),
        (list(range(10)), {"ToleratedFailurePercentage": 100}, "SUCCEEDED"),
    ],
)
def test_children_that_fail_count_against_the_tolerance(
    lab: Lab, bad: list[int], tolerance: dict[str, int], status: str
) -> None:
    selector = {"item.$": "$$.Map.Item.Value", "bad": bad}
    state = distributed(task("fail_some"), ItemSelector=selector, MaxConcurrency=2, **tolerance)
    found = lab.run(single(state), put_items(lab, list(range(10))))
    assert found["status"] == status
    if status == "FAILED":
        assert found["error"] == "States.ExceedToleratedFailureThreshold"
    else:
        assert [each["item"] for each in json.loads(found["output"])] == [n for n in range(10) if n not in bad]


def test_past_the_tolerance_the_other_children_are_killed_and_the_job_goes_on(lab: Lab, tmp_path: Path) -> None:
    """One child waits for a minute, one fails: a Catch still reaches a function of the same execution."""
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.seconds", "NumericGreaterThan": 0, "Next": "Long"}],
        "Default": "Bad",
    }
    state = distributed(choice, Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "After"}])
    long = {**task("sleep"), "Next": "Bad"}
    del long["End"]
    state["ItemProcessor"]["States"] |= {"Long": long, "Bad": task("fail")}
    definition = {"StartAt": "Only", "States": {"Only": state, "After": task("echo")}}
    before = len(lab.engine.reports)
    found = lab.run(definition, put_items(lab, [{"seconds": 300}, {"seconds": 0}]))
    assert json.loads(found["output"])["error"]["Error"] == "States.ExceedToleratedFailureThreshold"
    outcomes = {report.function: report.outcome for report in lab.engine.reports[before:]}
    assert outcomes == {"fail": "OrderlyError", "sleep": "Sandbox.Aborted", "echo": "ok"}


def test_an_unreadable_list_of_items_can_be_caught(lab: Lab) -> None:
    state = distributed(task("echo"), Catch=[{"ErrorEquals": ["States.ALL"], "Next": "After"}])
    definition = {"StartAt": "Only", "States": {"Only": state, "After": {"Type": "Succeed"}}}
    assert lab.run(definition, {"items": "not/there.json"})["status"] == "SUCCEEDED"


def test_a_stopped_execution_starts_nothing_more_and_kills_what_runs(lab: Lab, tmp_path: Path) -> None:
    selector = {"seconds": 60, "mark.$": f"States.Format('{tmp_path}/{{}}', $$.Map.Item.Value)"}
    state = distributed(task("sleep"), ItemSelector=selector, MaxConcurrency=2)
    execution = lab.start(single(state), put_items(lab, list(range(50))))
    deadline = time.monotonic() + 60
    while len([path for path in tmp_path.iterdir() if path.read_text()]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    lab.engine.client("stepfunctions").stop_execution(executionArn=execution, cause="enough")
    assert lab.wait(execution)["status"] == "ABORTED"
    begun = sorted(path.name for path in tmp_path.iterdir())
    assert len(begun) == 2
    pids = {int(path.read_text()) for path in tmp_path.iterdir()}
    while pids & set(lab.engine.pids()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
    assert sorted(path.name for path in tmp_path.iterdir()) == begun
