"""A Distributed Map: children run by a bounded number of threads, failures counted, results written.

Knows what AWS does that moto does not: a child is an execution of its own (its own ARN and history), a child that
fails counts against the tolerance, past it the run fails and its other children are aborted, the ResultWriter
writes what they returned. Refuses to know what children do.
"""

from __future__ import annotations

import datetime
import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader import item_reader_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import distributed_iteration_component
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.job import JobPool
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer import result_writer_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.resource_eval import resource_eval_s3
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded, ProgramError, ProgramStopped
from moto.stepfunctions.parser.asl.eval.states import ExecutionData, ItemData, MapData

from local.failures import map_run_failed, tolerance_exceeded
from local.patches import Patches

MAX_THREADS = 64  # children at once, whatever MaxConcurrency says; each holds two threads
RESULTS_PER_FILE = 5_000

_owners: dict[str, str] = {}  # a child's ARN: the map run it belongs to


def owner_of(execution_arn: str) -> str:
    """The map run of a child, or the execution itself: on whose behalf a function runs."""
    return _owners.get(execution_arn, execution_arn)


class ChildHistory(EventManager):
    """Counts a child's events, for the limit; keeps none, for there may be ten thousand children."""

    def _publish_history_event(self, *_args: Any, **_kwargs: Any) -> None:
        return


def install(patches: Patches, stop: Callable[[str], None]) -> None:
    component = distributed_iteration_component.DistributedIterationComponent

    def run(self: Any, env: Environment, eval_input: Any) -> None:
        items = env.stack.pop()
        env.stack.append(MapRun(self, env, eval_input, items, stop).run())

    patches.set(component, "_map_run", run)
    reader, writer = item_reader_decl.ItemReader, result_writer_decl.ResultWriter
    read_error, write_error = (
        StatesErrorNameType.StatesItemReaderFailed,
        StatesErrorNameType.StatesResultWriterFailed,
    )
    patches.set(reader, "_eval_body", _failing_as(read_error, reader._eval_body))
    patches.set(writer, "_eval_body", _failing_as(write_error, _evaluate_writer))
    patches.set(resource_eval_s3.ResourceEvalS3, "_handle_put_object", staticmethod(write_results))


class MapRun:
    """One evaluation of a Distributed Map. `run` returns the outputs of the children that succeeded, in order."""

    def __init__(
        self, component: Any, env: Environment, eval_input: Any, items: list[Any], stop: Callable[[str], None]
    ) -> None:
        self._env = env
        self._items = items
        self._stop = stop
        self._record = eval_input.map_run_record
        self._program = component._get_iteration_program()
        pool = JobPool(job_program=self._program, job_inputs=[])
        self._selector = component._create_worker(env=env, eval_input=eval_input, job_pool=pool)
        self._lock = threading.Lock()
        self._next = 0
        self._failed = 0
        self._exceeded = False
        self._error: BaseException | None = None
        self._running: set[Environment] = set()
        self._children: list[dict[str, Any] | None] = [None] * len(items)

    def run(self) -> list[Any]:
        wanted = self._record.max_concurrency or len(self._items)
        count = min(wanted, len(self._items), MAX_THREADS)
        threads = [threading.Thread(target=self._work, name="map-child", daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        children = [child for child in self._children if child is not None]
        self._record.children = children
        if self._error is not None:
            raise self._error
        if self._exceeded:
            raise tolerance_exceeded(self._env)
        return [child["output"] for child in children if child["Status"] == "SUCCEEDED"]

    def _work(self) -> None:
        while (index := self._take()) is not None:
            try:
                self._run_child(index)
            except BaseException as error:
                with self._lock:
                    self._error = self._error or error

    def _take(self) -> int | None:
        with self._lock:
            if self._exceeded or self._error or self._next >= len(self._items) or not self._env.is_running():
                return None
            self._next += 1
            return self._next - 1

    def _run_child(self, index: int) -> None:
        arn, name = self._identity()
        frame = self._env.open_inner_frame()
        _owners[arn] = self._record.map_run_arn
        self._count("total", "running")
        started = datetime.datetime.now(tz=datetime.UTC)
        try:
            frame.event_manager = ChildHistory()
            value = self._select(frame, index)
            context = frame.states.context_object.context_object_data
            context["Execution"] = ExecutionData(
                Id=arn,
                Input=value,
                Name=name,
                RoleArn=context["Execution"]["RoleArn"],
                StartTime=started.isoformat(),
            )
            with self._lock:
                self._running.add(frame)
            if _begin(frame, self._program.start_at.start_at_name):
                EvalComponent.eval(self._program, frame)
            self._end(index, frame, arn, name, value, started)
        finally:
            with self._lock:
                self._running.discard(frame)
            self._env.delete_frame(frame)
            _owners.pop(arn, None)
            self._count_down()

    def _select(self, frame: Environment, index: int) -> Any:
        item = self._items[index]
        frame.states.context_object.context_object_data["Map"] = MapData(Item=ItemData(Index=index, Value=item))
        frame.states.reset(item)
        frame.stack.append(frame.states.get_input())
        self._selector._eval_input(env_frame=frame)
        frame.stack.clear()
        return frame.states.get_input()

    def _identity(self) -> tuple[str, str]:
        name = str(uuid.uuid4())
        parent = self._record.map_state_machine_arn.replace(":stateMachine:", ":execution:")
        return f"{parent}:{name}", name

    def _end(self, index: int, frame: Environment, arn: str, name: str, value: Any, started: datetime.datetime) -> None:
        state = frame.program_state()
        child: dict[str, Any] = {
            "ExecutionArn": arn,
            "Name": name,
            "Input": json.dumps(value),
            "StartDate": started.isoformat(),
            "StopDate": datetime.datetime.now(tz=datetime.UTC).isoformat(),
        }
        if isinstance(state, ProgramEnded):
            child |= {"Status": "SUCCEEDED", "output": frame.states.get_input()}
            self._count("succeeded")
        elif isinstance(state, ProgramStopped):
            child |= {"Status": "ABORTED"}
            self._count("aborted")
        else:
            error = (state.error or {}) if isinstance(state, ProgramError) else {"error": "States.Timeout"}
            child |= {"Status": "FAILED", "Error": error.get("error", ""), "Cause": error.get("cause", "")}
            self._count("failed")
            self._judge_failure()
        self._children[index] = child

    def _judge_failure(self) -> None:
        with self._lock:
            self._failed += 1
            if self._exceeded or not self._is_too_many():
                return
            self._exceeded = True
            running = list(self._running)
        for frame in running:
            frame.set_stop(stop_date=None, cause="The map run failed", error=None)
        self._stop(self._record.map_run_arn)

    def _is_too_many(self) -> bool:
        """Neither given means: not one may fail."""
        count, percentage = self._record.tolerated_failure_count, self._record.tolerated_failure_percentage
        if count:
            return self._failed > int(count)
        return self._failed * 100 > float(percentage or 0) * len(self._items)

    def _count(self, *names: str) -> None:
        for counter in (self._record.execution_counter, self._record.item_counter):
            for name in names:
                getattr(counter, name).count()

    def _count_down(self) -> None:
        for counter in (self._record.execution_counter, self._record.item_counter):
            counter.running.offset(-1)


def _failing_as(kind: StatesErrorNameType, original: Callable[[Any, Environment], None]) -> Callable[..., None]:
    """What goes wrong with S3 has a name of its own; moto calls it States.Runtime, which no Catch catches."""

    def evaluate(self: Any, env: Environment) -> None:
        try:
            original(self, env)
        except FailureEventException:
            raise
        except Exception as error:
            raise map_run_failed(env, kind, str(error)) from error

    return evaluate


def _begin(frame: Environment, state: str) -> bool:
    """False for a child whose run was stopped before it began."""
    try:
        frame.next_state_name = state
    except RuntimeError:
        if frame.is_running():
            raise
        return False
    return True


def _evaluate_writer(self: Any, env: Environment) -> None:
    """Its parameters are of the Map's input, as in AWS; moto looks for them in the children's outputs."""
    outputs = env.stack.pop()
    depth = len(env.stack)
    env.stack.append(env.stack[-1])
    self.parargs.eval(env=env)
    parameters = env.stack.pop()
    del env.stack[depth:]
    env.stack += [outputs, parameters]
    self.resource_eval.eval_resource(env=env)


def write_results(env: Environment, resource_runtime_part: Any, state_credentials: Any) -> None:
    """What the ResultWriter of a map run writes: files of results by status, and manifest.json naming them.

    Format: Step Functions developer guide, "ResultWriter"."""
    parameters = env.stack.pop()
    env.stack.pop()
    record = env.map_run_record_pool_manager.get_all()[-1]
    prefix = parameters.get("Prefix", "")
    folder = f"{prefix.rstrip('/')}/" if prefix else ""
    folder += record.map_run_arn.rpartition(":")[2]
    client = resource_eval_s3.ResourceEvalS3._get_s3_client(resource_runtime_part, state_credentials)
    files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}

    def put(key: str, document: Any) -> int:
        body = json.dumps(document).encode()
        client.put_object(Bucket=parameters["Bucket"], Key=key, Body=body)
        return len(body)

    for status, written in files.items():
        chosen = [_result(child, record) for child in record.children if child["Status"] == status]
        for number, start in enumerate(range(0, len(chosen), RESULTS_PER_FILE)):
            key = f"{folder}/{status}_{number}.json"
            written.append({"Key": key, "Size": put(key, chosen[start : start + RESULTS_PER_FILE])})
    key = f"{folder}/manifest.json"
    put(key, {"DestinationBucket": parameters["Bucket"], "MapRunArn": record.map_run_arn, "ResultFiles": files})
    env.stack.append(
        {"MapRunArn": record.map_run_arn, "ResultWriterDetails": {"Bucket": parameters["Bucket"], "Key": key}}
    )


def _result(child: dict[str, Any], record: Any) -> dict[str, Any]:
    shown = {name: value for name, value in child.items() if name != "output"}
    if "output" in child:
        shown |= {"Output": json.dumps(child["output"]), "OutputDetails": {"Included": True}}
    return shown | {"InputDetails": {"Included": True}, "StateMachineArn": record.map_state_machine_arn}
