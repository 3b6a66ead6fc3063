"""EventBridge as far as jobs hear of it: rules whose targets are functions and state machines, and the events Step
Functions sends itself.

Knows rules, patterns (moto's matcher) and the event of an execution's status. Refuses to know how a function runs.
"""

from __future__ import annotations

import copy
import datetime
import json
import logging
import uuid
from collections.abc import Callable
from typing import Any

from moto.events import events_backends
from moto.events import models as events_models
from moto.events.utils import EventTemplateParser
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

from local.patches import Patches

LOG = logging.getLogger(__name__)

Deliver = Callable[[str, bytes], None]
Start = Callable[[str, str], None]


def install(patches: Patches, deliver: Deliver, start: Start) -> None:
    """`deliver(function, payload)` invokes asynchronously; `start(machine, input)` starts an execution."""
    original = events_models.Rule.send_to_targets

    def send_to_targets(self: Any, original_event: Any, transform_input: bool = True) -> None:
        # moto takes a rule without a pattern, one that follows the clock, for one that wants every event.
        if self.state != "ENABLED" or self.scheduled_expression or not self.event_pattern.matches_event(original_event):
            return
        for target in self.targets:
            service = target["Arn"].split(":")[2]
            if service == "lambda":
                deliver(target["Arn"], _payload(target, original_event))
            elif service == "states":
                start(target["Arn"], _payload(target, original_event).decode())
            elif service in ("logs", "sqs", "events"):
                alone = copy.copy(self)
                alone.targets = [target]
                original(alone, original_event, transform_input)
            else:
                LOG.warning("rule %s: the engine does not deliver to %s", self.name, target["Arn"])

    patches.set(events_models.Rule, "send_to_targets", send_to_targets)


def _payload(target: dict[str, Any], event: dict[str, Any]) -> bytes:
    if "Input" in target:
        return str(target["Input"]).encode()
    if "InputTransformer" in target:
        transformer = target["InputTransformer"]
        parsed = EventTemplateParser.parse(transformer["InputTemplate"], transformer.get("InputPathsMap", {}), event)
        return json.dumps(parsed).encode()
    if "InputPath" in target:
        value: Any = event
        for name in target["InputPath"].removeprefix("$").split(".")[1:]:
            value = value[name]
        return json.dumps(value).encode()
    shown = {name: value for name, value in event.items() if name != "ingestion-time"}
    if isinstance(shown.get("time"), int | float):
        moment = datetime.datetime.fromtimestamp(shown["time"], tz=datetime.UTC)
        shown["time"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps(shown).encode()


def send_status(execution: Any) -> None:
    """The event `Step Functions Execution Status Change`, on the account's default bus.

    Format: Step Functions developer guide, "Automating Step Functions event delivery with EventBridge"."""
    output = execution.output
    detail = {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": _millis(execution.start_date),
        "stopDate": _millis(execution.stop_date),
        "input": to_json_str(execution.input_data),
        "output": None if output is None else to_json_str(output),
        "inputDetails": {"included": True},
        "outputDetails": None if output is None else {"included": True},
        "error": execution.error,
        "cause": execution.cause,
    }
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": execution.account_id,
        "time": datetime.datetime.now(tz=datetime.UTC).timestamp(),
        "region": execution.region_name,
        "resources": [execution.exec_arn],
        "detail": detail,
        "ingestion-time": 0,
    }
    bus = events_backends[execution.account_id][execution.region_name].describe_event_bus("default")
    for rule in list(bus.rules.values()):
        rule.send_to_targets(event)


def _millis(moment: datetime.datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
