"""States that sleep until their token is answered: what wakes them, and by which name."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.local.support import Lab, task
from tests.support.waiting import wait_until


def asleep(lab: Lab, *, timeout: int, heartbeat: int) -> str:
    """An execution in a state that sleeps; its output is `answered`, or the error that woke it."""
    state = {key: value for key, value in task("echo").items() if key not in ("End", "OutputPath")}
    definition = {
        "StartAt": "Sleep",
        "States": {
            "Sleep": state
            | {
                "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
                "Parameters": {"FunctionName": "echo", "Payload": {"token.$": "$$.Task.Token"}},
                "TimeoutSecondsPath": "$.timeout",
                "HeartbeatSecondsPath": "$.heartbeat",
                "ResultPath": None,
                "Catch": [
                    {"ErrorEquals": [name], "Next": name}
                    for name in ("States.HeartbeatTimeout", "States.Timeout", "States.ALL")
                ],
                "Next": "Answered",
            },
            **{
                name: {"Type": "Pass", "Result": {"woken_by": name}, "End": True}
                for name in ("States.HeartbeatTimeout", "States.Timeout", "States.ALL", "Answered")
            },
        },
    }
    return lab.start(definition, {"timeout": timeout, "heartbeat": heartbeat})


def token_of(lab: Lab, execution: str) -> str:
    """As the function that got it was scheduled with it; once it has returned."""
    events: list[dict[str, Any]] = []

    def submitted() -> bool:
        history = lab.engine.client("stepfunctions").get_execution_history(executionArn=execution)
        events[:] = history["events"]
        return any(event["type"] == "TaskSubmitted" for event in events)

    wait_until(submitted)
    (scheduled,) = [event for event in events if event["type"] == "TaskScheduled"]
    return str(json.loads(scheduled["taskScheduledEventDetails"]["parameters"])["Payload"]["token"])


def ended(lab: Lab, execution: str) -> str:
    found = lab.wait(execution)
    return str(json.loads(found["output"])["woken_by"]) if found["status"] == "SUCCEEDED" else str(found["status"])


def test_a_state_without_a_sign_of_life_wakes_by_the_heartbeats_name(lab: Lab) -> None:
    assert ended(lab, asleep(lab, timeout=300, heartbeat=1)) == "States.HeartbeatTimeout"


def test_heartbeats_keep_it_asleep_until_its_timeout(lab: Lab) -> None:
    execution = asleep(lab, timeout=4, heartbeat=2)
    token, client, began = token_of(lab, execution), lab.engine.client("stepfunctions"), time.monotonic()
    while client.describe_execution(executionArn=execution)["status"] == "RUNNING" and time.monotonic() - began < 30:
        try:
            client.send_task_heartbeat(taskToken=token)
        except client.exceptions.TaskTimedOut:
            break
        time.sleep(0.2)
    assert ended(lab, execution) == "States.Timeout"
    assert time.monotonic() - began > 2


def test_an_answer_wakes_it_at_once(lab: Lab) -> None:
    execution = asleep(lab, timeout=300, heartbeat=200)
    lab.engine.client("stepfunctions").send_task_success(taskToken=token_of(lab, execution), output="{}")
    assert ended(lab, execution) == "Answered"


def test_stopping_the_execution_ends_the_sleep(lab: Lab) -> None:
    execution = asleep(lab, timeout=300, heartbeat=200)
    token_of(lab, execution)
    began = time.monotonic()
    lab.engine.client("stepfunctions").stop_execution(executionArn=execution)
    assert ended(lab, execution) == "ABORTED"
    assert time.monotonic() - began < 5
