"""EventBridge rules reach functions: events that were put, and ends of executions."""

from __future__ import annotations

import json
from typing import Any

from tests.local.support import Lab, single, task


def test_an_event_reaches_the_functions_of_the_rules_it_matches(lab: Lab) -> None:
    before = len(lab.heard(0))
    entries = [
        {"Source": "shop", "DetailType": "t", "Detail": json.dumps({"kind": kind})} for kind in ("visit", "order")
    ]
    lab.engine.client("events").put_events(Entries=entries)
    event = lab.heard(before + 1)[-1]
    assert (event["source"], event["detail-type"], event["detail"]) == ("shop", "t", {"kind": "order"})
    assert len(lab.heard(0)) == before + 1


def test_ends_of_executions_are_told_as_step_functions_tells_them(lab: Lab) -> None:
    before = len(lab.heard(0))
    failed = lab.start(single(task("fail")), {"a": 1}, name="watched-failed")
    lab.wait(failed)
    good = lab.start(single({"Type": "Succeed"}), name="watched-good")
    lab.wait(good)
    stopped = lab.start(single(task("sleep")), {"seconds": 60}, name="watched-stopped")
    lab.engine.client("stepfunctions").stop_execution(executionArn=stopped)
    late = lab.start(single(task("sleep"), TimeoutSeconds=1), {"seconds": 60}, name="watched-late")
    lab.wait(late)
    details: dict[str, Any] = {event["detail"]["name"]: event["detail"] for event in lab.heard(before + 3)[before:]}
    assert {name: detail["status"] for name, detail in details.items()} == {
        "watched-failed": "FAILED",
        "watched-stopped": "ABORTED",
        "watched-late": "TIMED_OUT",
    }
    detail = details["watched-failed"]
    assert (detail["executionArn"], json.loads(detail["input"]), detail["output"]) == (failed, {"a": 1}, None)
    assert detail["startDate"] <= detail["stopDate"]
