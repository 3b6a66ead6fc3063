"""The engine counts the events of all histories, and the benchmark makes state transitions of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench.many import transitions
from tests.local.support import Lab, single, task


def counted(lab: Lab, definition: dict[str, Any], document: Any) -> tuple[Counter[str], Counter[str]]:
    """The events that an execution added to the count, and those of its own history."""
    from local.interpreter import history_events  # moto reads its environment on import: after the engine set it

    before = history_events()
    execution = lab.start(definition, document)
    lab.wait(execution)
    after = history_events()
    events = lab.engine.client("stepfunctions").get_execution_history(executionArn=execution)["events"]
    return after - before, Counter(event["type"] for event in events)


def test_every_event_of_a_history_is_counted_and_a_retry_is_a_transition(lab: Lab) -> None:
    retried = task("fail", Retry=[{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "IntervalSeconds": 1}])
    retried["Retry"][0] |= {"MaxDelaySeconds": 1, "JitterStrategy": "FULL"}
    added, history = counted(lab, single(retried), {})
    assert added == history
    assert transitions(added) == 3


def test_the_children_of_a_map_are_counted(lab: Lab) -> None:
    each = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "MaxConcurrency": 2,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            **single(task("echo")),
        },
        "End": True,
    }
    added, history = counted(lab, single(each), {"items": [{"n": n} for n in range(5)]})
    assert "TaskStateEntered" not in history
    assert added["TaskStateEntered"] == 5
    assert transitions(added) == 6
