"""Which of the States Language the engine honours. What it would ignore or get wrong, it refuses before anything runs.

Knows names of states and fields. Source of the list: what was seen to work in the interpreter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_COMMON = {"Type", "Comment", "InputPath", "OutputPath", "Next", "End", "QueryLanguage"}
_RESULT = {"ResultPath", "ResultSelector"}
_ERRORS = {"Retry", "Catch"}
_FIELDS: dict[str, set[str]] = {
    "Pass": _COMMON | {"Result", "ResultPath", "Parameters"},
    "Task": _COMMON | _RESULT | _ERRORS
    | {"Resource", "Parameters", "TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath"},
    "Choice": _COMMON | {"Choices", "Default"},
    "Wait": _COMMON | {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"},
    "Succeed": _COMMON,
    "Fail": _COMMON | {"Error", "ErrorPath", "Cause", "CausePath"},
    "Parallel": _COMMON | _RESULT | _ERRORS | {"Branches", "Parameters"},
    "Map": _COMMON | _RESULT | _ERRORS
    | {"ItemProcessor", "ItemsPath", "ItemSelector", "ItemReader", "ResultWriter", "MaxConcurrency", "Label",
       "MaxConcurrencyPath", "ToleratedFailurePercentage", "ToleratedFailurePercentagePath", "ToleratedFailureCount",
       "ToleratedFailureCountPath"},
}  # fmt: skip
_PROGRAM = {"StartAt", "States", "Comment", "TimeoutSeconds", "Version", "QueryLanguage"}
_PROCESSOR = {"StartAt", "States", "Comment", "ProcessorConfig"}
_READER = {"Resource", "ReaderConfig", "Parameters"}
_READER_CONFIG = {"InputType", "MaxItems", "MaxItemsPath", "CSVHeaderLocation", "CSVHeaders"}
_WRITER = {"Resource", "Parameters"}
_RETRY = {
    "ErrorEquals",
    "IntervalSeconds",
    "MaxAttempts",
    "BackoffRate",
    "MaxDelaySeconds",
    "JitterStrategy",
    "Comment",
}
_CATCH = {"ErrorEquals", "Next", "ResultPath", "Comment"}
_DISTRIBUTED_ONLY = {"ItemReader", "ResultWriter", "Label"} | {n for n in _FIELDS["Map"] if n.startswith("Tolerated")}


class UnsupportedAslError(Exception):
    """The definition says what the engine cannot honour. `refusals` names each place."""

    OPENING = "the embedded engine cannot honour this state machine: "

    def __init__(self, refusals: list[str]) -> None:
        super().__init__(self.OPENING + "; ".join(refusals))
        self.refusals = refusals


def normalise(definition: str) -> str:
    """The definition as the interpreter wants it. Raises UnsupportedAslError.

    Its grammar takes ToleratedFailurePercentage only with a decimal point."""
    program = json.loads(definition)
    refusals = list(_program(program, "", _PROGRAM))
    if refusals:
        raise UnsupportedAslError(refusals)
    _with_decimal_points(program)
    return json.dumps(program)


def _program(program: Mapping[str, Any], path: str, known: set[str]) -> Iterator[str]:
    yield from _unknown(program, known, path or "top level")
    if program.get("QueryLanguage", "JSONPath") != "JSONPath":
        yield f"{path or 'top level'}: QueryLanguage {program['QueryLanguage']}"
    for name, state in program.get("States", {}).items():
        yield from _state(state, f"{path}{name}")


def _state(state: Mapping[str, Any], path: str) -> Iterator[str]:
    kind = state.get("Type", "")
    if kind not in _FIELDS:
        yield f"{path}: state type {kind!r}"
        return
    yield from _unknown(state, _FIELDS[kind], path)
    if state.get("QueryLanguage", "JSONPath") != "JSONPath":
        yield f"{path}: QueryLanguage {state['QueryLanguage']}"
    for number, retry in enumerate(state.get("Retry", [])):
        yield from _unknown(retry, _RETRY, f"{path}.Retry[{number}]")
    for number, catch in enumerate(state.get("Catch", [])):
        yield from _unknown(catch, _CATCH, f"{path}.Catch[{number}]")
    for number, branch in enumerate(state.get("Branches", [])):
        yield from _program(branch, f"{path}.Branches[{number}].", _PROGRAM)
    if kind == "Map":
        yield from _map(state, path)


def _map(state: Mapping[str, Any], path: str) -> Iterator[str]:
    processor = state.get("ItemProcessor", {})
    yield from _program(processor, f"{path}.", _PROCESSOR)
    config = processor.get("ProcessorConfig", {})
    yield from _unknown(config, {"Mode", "ExecutionType"}, f"{path}.ProcessorConfig")
    if config.get("ExecutionType", "STANDARD") != "STANDARD":
        yield f"{path}: ExecutionType {config['ExecutionType']}"
    if config.get("Mode", "INLINE") != "DISTRIBUTED":
        for name in sorted(_DISTRIBUTED_ONLY & state.keys()):
            yield f"{path}: {name} in an inline map"
    yield from _unknown(state.get("ItemReader", {}), _READER, f"{path}.ItemReader")
    reader = state.get("ItemReader", {}).get("ReaderConfig", {})
    yield from _unknown(reader, _READER_CONFIG, f"{path}.ReaderConfig")
    if reader.get("InputType", "JSON") not in ("JSON", "CSV"):
        yield f"{path}: InputType {reader['InputType']}"
    yield from _unknown(state.get("ResultWriter", {}), _WRITER, f"{path}.ResultWriter")
    tolerances = sorted(name for name in state if name.startswith("Tolerated"))
    if len(tolerances) > 1:
        yield f"{path}: {' together with '.join(tolerances)}"


def _unknown(fields: Mapping[str, Any], known: set[str], path: str) -> Iterator[str]:
    for name in sorted(fields.keys() - known):
        yield f"{path}: field {name}"


def _with_decimal_points(node: Any) -> None:
    if isinstance(node, dict):
        if "ToleratedFailurePercentage" in node:
            node["ToleratedFailurePercentage"] = float(node["ToleratedFailurePercentage"])
        for value in node.values():
            _with_decimal_points(value)
    elif isinstance(node, list):
        for value in node:
            _with_decimal_points(value)
