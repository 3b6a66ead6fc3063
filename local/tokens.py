"""States that sleep until their token is answered: moto's wait for it, put right.

Knows what moto gets wrong: an answer given before it listens is slept through where there is a heartbeat, a stop of the
execution does not end the sleep, and a missed heartbeat has no name. Refuses to know who answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from moto.stepfunctions.parser.api import HistoryEventType, TaskTimedOutEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.eval.callback.callback import (
    CallbackEndpoint,
    CallbackOutcome,
    CallbackOutcomeTimedOut,
    HeartbeatEndpoint,
    HeartbeatTimedOut,
    HeartbeatTimeoutError,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from local.patches import Patches

# How long a stopped execution may sleep on: moto's own signal of a stop can be missed.
LOOK_SECONDS = 0.2


def install(patches: Patches) -> None:
    patches.set(StateTaskServiceCallback, "_eval_wait_for_task_token", _wait)
    patches.set(StateTaskServiceCallback, "_from_error", _named(StateTaskServiceCallback._from_error))


def _wait(
    _self: Any,
    env: Environment,
    timeout_seconds: int,  # kept by who runs the state: it ends `env`
    callback_endpoint: CallbackEndpoint,
    heartbeat_endpoint: HeartbeatEndpoint | None,
) -> CallbackOutcome | HeartbeatTimedOut:
    """The answer, or what came in its place."""
    # An answer is a sign of life, too.
    alive = heartbeat_endpoint._next_heartbeat_event if heartbeat_endpoint else callback_endpoint._notify_event
    patience = heartbeat_endpoint._heartbeat_seconds if heartbeat_endpoint else float("inf")
    last = time.monotonic()
    while env.is_running():
        outcome = callback_endpoint.get_outcome()
        if outcome is not None:
            return outcome
        if alive.wait(LOOK_SECONDS):
            alive.clear()
            last = time.monotonic()
        elif time.monotonic() - last >= patience:
            return HeartbeatTimedOut()
    return CallbackOutcomeTimedOut(callback_id=callback_endpoint.callback_id)


def _named(original: Callable[..., FailureEvent]) -> Callable[..., FailureEvent]:
    """Developer guide of Step Functions, "Error names": States.HeartbeatTimeout."""

    def from_error(self: Any, env: Environment, ex: Exception) -> FailureEvent:
        if not isinstance(ex, HeartbeatTimeoutError):
            return original(self, env, ex)
        name = StatesErrorNameType.StatesHeartbeatTimeout
        details = TaskTimedOutEventDetails(
            resourceType=self._get_sfn_resource_type(), resource=self._get_sfn_resource(), error=name.to_name()
        )
        return FailureEvent(
            env=env,
            error_name=StatesErrorName(typ=name),
            event_type=HistoryEventType.TaskTimedOut,
            event_details=EventDetails(taskTimedOutEventDetails=details),
        )

    return from_error
