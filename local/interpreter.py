"""moto's Step Functions interpreter, put right where the engine needs it.

Knows moto's classes and what AWS does differently: limits on payloads and history, what States.ALL does not catch,
waits and retries that a stop interrupts, an execution that ends and is told of. Refuses to know how a function runs
or an event is delivered: those are the Hooks. Tasks are in tasks.py, tokens in tokens.py, Distributed Maps in
map_run.py.
"""

from __future__ import annotations

import datetime
import functools
import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.core.config import default_user_config
from moto.core.exceptions import AWSError
from moto.stepfunctions import models as plain_models
from moto.stepfunctions.parser import models as parser_models
from moto.stepfunctions.parser import quotas
from moto.stepfunctions.parser.api import ExecutionStatus, HistoryEventType, InvalidDefinition
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.program import program as program_module
from moto.stepfunctions.parser.asl.component.state.exec import execute_state
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import inline_iteration_component
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.backend import execution as execution_module
from moto.stepfunctions.parser.backend import execution_worker

from local import asl, map_run, tasks, tokens
from local.lambda_types import Result
from local.limits import MAX_HISTORY_EVENTS, MAX_STATE_BYTES
from local.patches import Patches

LOG = logging.getLogger(__name__)

STOP_SECONDS = 30.0
_seen: Counter[str] = Counter()
_seen_lock = threading.Lock()
_TERMINAL = {
    HistoryEventType.ExecutionFailed,
    HistoryEventType.ExecutionAborted,
    HistoryEventType.ExecutionTimedOut,
    HistoryEventType.ExecutionSucceeded,
}
_NOT_IN_STATES_ALL = [
    StatesErrorName(typ=StatesErrorNameType.StatesStatesDataLimitExceeded),
    StatesErrorName(typ=StatesErrorNameType.StatesRuntime),
]


@dataclass(frozen=True, slots=True)
class Hooks:
    """`invoke(function, payload, owner)` runs a function; `changed(execution)` hears of every status of an execution;
    `stop(owner)` kills what still runs for an execution or a map run."""

    invoke: Callable[[str, bytes, str], Result]
    changed: Callable[[Any], None]
    stop: Callable[[str], None]
    wait_scale: float = 1.0


def history_events() -> Counter[str]:
    """How many events of each type the histories of all executions have had since the engine began, those of a Map's
    children among them."""
    with _seen_lock:
        return Counter(_seen)


class InvalidDefinitionError(AWSError):
    """moto answers 500 for its own class of this name, which its server does not know."""

    TYPE = "InvalidDefinition"
    STATUS = 400


class HistoryLimitError(Exception):
    """The execution has as many events as Step Functions allows."""


class _Forgetful(list[Any]):
    """Stands for the list in which moto keeps every thread it ever started."""

    def append(self, _thread: Any) -> None:
        return


def install(patches: Patches, hooks: Hooks) -> None:
    """Turns the interpreter on. `patches` undoes it."""
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    _seen.clear()
    patches.set(plain_models, "stepfunctions_backends", parser_models.stepfunctions_parser_backends)
    for module in (program_module, execute_state, inline_iteration_component, execution_worker):
        patches.set(module, "TMP_THREADS", _Forgetful())
    patches.set(json_path, "parse", functools.cache(json_path.parse))  # a quarter of the time of an item
    patches.set(quotas, "MAX_STATE_SIZE_UTF8_BYTES", MAX_STATE_BYTES + 1)  # moto compares with <
    _install_definition(patches)
    _install_execution(patches, hooks)
    tasks.install(patches, hooks.invoke)
    tokens.install(patches)
    _install_waits(patches, hooks)
    patches.set(ErrorEqualsDecl, "_eval_body", _error_equals(ErrorEqualsDecl._eval_body))
    patches.set(EventManager, "add_event", _limited(EventManager.add_event))
    # moto logs each failure at every level of the program, with the text of the whole program: costly, and noise.
    patches.set(EvalComponent, "_log_failure_event_exception", lambda _self, failure_event_exception: None)
    patches.set(EvalComponent, "_log_exception", lambda _self, exception: LOG.debug("%r", exception))
    map_run.install(patches, hooks.stop)


def _install_definition(patches: Patches) -> None:
    backend = parser_models.StepFunctionsParserBackend
    create, start = backend.create_state_machine, backend.start_execution

    def create_state_machine(self: Any, name: str, definition: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return create(self, name, asl.normalise(definition), *args, **kwargs)
        except (asl.UnsupportedAslError, InvalidDefinition) as error:
            raise InvalidDefinitionError(str(error)) from error

    def start_execution(self: Any, state_machine_arn: str, name: str | None = None, *args: Any, **kwargs: Any) -> Any:
        return start(self, state_machine_arn, name or str(uuid.uuid4()), *args, **kwargs)

    patches.set(backend, "create_state_machine", create_state_machine)
    patches.set(backend, "start_execution", start_execution)


def _install_execution(patches: Patches, hooks: Hooks) -> None:
    worker, communication = execution_worker.ExecutionWorker, execution_module.BaseExecutionWorkerCommunication
    start, terminated, stop = execution_module.Execution.start, communication.terminated, worker.stop

    def started(self: Any) -> None:
        self.exec_status = ExecutionStatus.RUNNING
        hooks.changed(self)
        start(self)

    def begun(self: Any) -> None:
        """moto returns from StartExecution before there is anything a StopExecution could stop."""
        ready = threading.Event()
        self.ended = threading.Event()

        def logic() -> None:
            evaluate = self._get_evaluation_environment

            def environment() -> Environment:
                env = evaluate()
                env.next_state_name = program.start_at.start_at_name
                self.env = env
                ready.set()
                return env

            try:
                program = self._get_evaluation_entrypoint()
                self._get_evaluation_entrypoint = lambda: program
                self._get_evaluation_environment = environment
                self._execution_logic()
            except Exception:
                LOG.exception("the interpreter itself failed; the execution never ends")
            finally:
                ready.set()
                self.ended.set()

        threading.Thread(target=logic, name="execution", daemon=True).start()
        ready.wait()

    def ended(self: Any) -> None:
        terminated(self)
        env = self.execution.exec_worker.env
        hooks.stop(self.execution.exec_arn)
        for record in env.map_run_record_pool_manager.get_all():
            hooks.stop(record.map_run_arn)
        hooks.changed(self.execution)

    def stopped(self: Any, stop_date: Any, error: str | None, cause: str | None) -> None:
        stop(self, stop_date, error, cause)
        hooks.stop(self._evaluation_details.execution_details.arn)
        for record in self.env.map_run_record_pool_manager.get_all():
            hooks.stop(record.map_run_arn)

    patches.set(execution_module.Execution, "start", started)
    patches.set(worker, "start", begun)
    patches.set(worker, "stop", stopped)
    patches.set(communication, "terminated", ended)
    patches.set(program_module.Program, "eval", _program_eval(program_module.Program))
    for name in ("set_error", "set_timed_out"):
        patches.set(Environment, name, _unless_over(getattr(Environment, name)))


def _unless_over(original: Callable[..., None]) -> Callable[..., None]:
    """What was stopped stays stopped, though the functions killed by it fail."""

    def change(self: Environment, *args: Any, **kwargs: Any) -> None:
        if self.program_state() is None or self.is_running():
            original(self, *args, **kwargs)

    return change


def stop_and_wait(execution: Any) -> None:
    if execution.status != ExecutionStatus.RUNNING.value:
        return
    execution.stop(stop_date=datetime.datetime.now(tz=datetime.UTC), error=None, cause="The engine ends")
    if not execution.exec_worker.ended.wait(STOP_SECONDS):
        LOG.warning("%s did not stop", execution.exec_arn)


def _program_eval(program: Any) -> Callable[[Any, Environment], None]:
    def evaluate(self: Any, env: Environment) -> None:
        if env.program_state() is None or env.is_running():
            env.next_state_name = self.start_at.start_at_name
        thread = threading.Thread(target=super(program, self).eval, args=(env,), name="program", daemon=True)
        thread.start()
        thread.join(self.timeout_seconds.timeout_seconds if self.timeout_seconds else None)
        if thread.is_alive():
            env.set_timed_out()

    return evaluate


def _install_waits(patches: Patches, hooks: Hooks) -> None:
    def wait_interval(_self: Any, env: Environment, wait_seconds: float) -> None:
        sleep_while_running(env, wait_seconds * hooks.wait_scale)

    patches.set(WaitFunction, "_wait_interval", wait_interval)
    patches.set(retrier_decl.RetrierDecl, "_eval_body", _retrier())


def sleep_while_running(env: Environment, seconds: float) -> None:
    """A stop of the execution ends the sleep."""
    end = time.monotonic() + seconds
    while env.is_running() and (left := end - time.monotonic()) > 0:
        env.program_state_event.wait(left)


def _retrier() -> Callable[[Any, Environment], None]:
    outcome, exhausted = retrier_decl.RetrierOutcome, retrier_decl.MaxAttemptsOutcome.EXHAUSTED

    def evaluate(self: Any, env: Environment) -> None:
        """As moto's, but the pause ends with the execution."""
        self.error_equals.eval(env)
        if not env.stack.pop():
            env.stack.append(outcome.Skipped)
            return
        self.max_attempts.eval(env=env)
        if env.stack.pop() == exhausted:
            env.stack.append(outcome.Failed)
            return
        for step in (self.interval_seconds, self.backoff_rate, self.max_delay_seconds, self.jitter_strategy):
            step.eval(env=env)
        sleep_while_running(env, env.stack.pop())
        env.stack.append(outcome.Executed)

    return evaluate


def _error_equals(original: Callable[[Any, Environment], None]) -> Callable[[Any, Environment], None]:
    """Step Functions developer guide, "Error names": States.ALL catches neither of the two."""

    def evaluate(self: Any, env: Environment) -> None:
        error_name = env.stack[-1]
        if error_name in _NOT_IN_STATES_ALL and error_name not in self.error_names:
            env.stack.pop()
            env.stack.append(False)
            return
        original(self, env)

    return evaluate


def _limited(original: Callable[..., int]) -> Callable[..., int]:
    def add_event(self: Any, context: Any, event_type: HistoryEventType, *args: Any, **kwargs: Any) -> int:
        event_id = original(self, context, event_type, *args, **kwargs)
        with _seen_lock:
            _seen[str(event_type.value)] += 1
        if event_id >= MAX_HISTORY_EVENTS and event_type not in _TERMINAL:
            raise HistoryLimitError(
                f"The execution reached the maximum number of history events ({MAX_HISTORY_EVENTS})."
            )
        return event_id

    return add_event
