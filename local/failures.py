"""Failures in the interpreter's own terms, raised the way its states expect them."""

from __future__ import annotations

from moto.stepfunctions.parser.api import ExecutionFailedEventDetails, HistoryEventType, MapRunFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from local.limits import MAX_STATE_BYTES


def data_limit_exceeded(env: Environment, what: str) -> FailureEventException:
    kind = StatesErrorNameType.StatesStatesDataLimitExceeded
    details = ExecutionFailedEventDetails(
        error=kind.to_name(),
        cause=f"{what} exceeds the maximum number of bytes service limit of {MAX_STATE_BYTES}.",
    )
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=StatesErrorName(typ=kind),
            event_type=HistoryEventType.TaskFailed,
            event_details=EventDetails(executionFailedEventDetails=details),
        )
    )


def tolerance_exceeded(env: Environment) -> FailureEventException:
    kind = StatesErrorNameType.StatesExceedToleratedFailureThreshold
    return map_run_failed(env, kind, "The specified tolerated failure threshold was exceeded")


def map_run_failed(env: Environment, kind: StatesErrorNameType, cause: str) -> FailureEventException:
    details = MapRunFailedEventDetails(error=kind.to_name(), cause=cause)
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=StatesErrorName(typ=kind),
            event_type=HistoryEventType.MapRunFailed,
            event_details=EventDetails(mapRunFailedEventDetails=details),
        )
    )
