"""The state machine: its shape, its retries, and that no way through it loses a failure."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.functions import folder_of
from infra.tools import command
from sluiceway.aws.token_function import TokensThrottledError
from sluiceway.errors import SplitOverError
from tests.infra.names import TASKS
from tests.infra.template import Template, states_of, targets_of


@pytest.fixture(scope="session")
def machine(template: Template) -> dict[str, Any]:
    return template.machine()


@pytest.fixture(scope="session")
def states(machine: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(states_of(machine))


def reachable(machine: dict[str, Any]) -> set[str]:
    seen: set[str] = set()
    ahead = [machine["StartAt"]]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead.extend(targets_of(machine["States"][name]))
    return seen


def test_the_way_through_is_the_one_drawn(machine: dict[str, Any]) -> None:
    assert machine["StartAt"] == "StartExport"
    assert {name: targets_of(state) for name, state in machine["States"].items()} == {
        "StartExport": {"IsExportReady", "JobIsLive", "StartFailed"},
        "IsExportReady": {"DispatchFiles", "AwaitExport", "WaitForExport"},
        "AwaitExport": {"PollExport", "CompleteJob"},
        "WaitForExport": {"PollExport"},
        "PollExport": {"IsExportReady", "CompleteJob"},
        "DispatchFiles": {"IsEmpty", "CompleteJob"},
        "IsEmpty": {"DispatchFiles", "TransferFiles", "CompleteJob"},
        "TransferFiles": {"IsStaged", "CompleteJob"},
        "IsStaged": {"CommitFiles", "CompleteJob"},
        "CommitFiles": {"IsCommitted", "CompleteJob"},
        "IsCommitted": {"CommitFiles", "TransferFiles", "CompleteJob"},
        "StartFailed": {"CompleteJob"},
        "CompleteJob": {"IsSuccess"},
        "IsSuccess": {"CompleteJob", "JobSucceeded", "JobFailed", "PollExport"},
        "JobSucceeded": set(),
        "JobFailed": set(),
        "JobIsLive": set(),
    }


def test_every_state_can_be_reached(machine: dict[str, Any], states: dict[str, dict[str, Any]]) -> None:
    assert reachable(machine) == set(machine["States"])
    children = states["TransferFiles"]["ItemProcessor"]
    assert reachable(children) == set(children["States"])
    segments = states["MoveSegments"]["ItemProcessor"]
    assert reachable(segments) == set(segments["States"])


def test_a_child_goes_on_is_split_or_is_done(states: dict[str, dict[str, Any]]) -> None:
    children = states["TransferFiles"]["ItemProcessor"]
    assert children["StartAt"] == "ProcessFile"
    assert {name: targets_of(state) for name, state in children["States"].items()} == {
        "ProcessFile": {"WhatNext", "RecordFailure"},
        "ProcessFileLarge": {"WhatNext", "RecordFailure"},
        "WhatNext": {"ProcessFile", "ProcessFileLarge", "MoveSegments", "UnitDone"},
        "MoveSegments": {"FinishFile", "ProcessFile", "RecordFailure"},
        "FinishFile": {"ProcessFile", "RecordFailure"},
        "RecordFailure": set(),
        "UnitDone": set(),
    }
    assert {choice["StringEquals"]: choice["Next"] for choice in states["WhatNext"]["Choices"]} == {
        "CONTINUE": "ProcessFile",
        "LARGE": "ProcessFileLarge",
        "SPLIT": "MoveSegments",
    }


def test_a_segment_goes_on_until_it_is_moved(states: dict[str, dict[str, Any]]) -> None:
    segments = states["MoveSegments"]["ItemProcessor"]
    assert segments["ProcessorConfig"]["Mode"] == "INLINE"
    assert {name: targets_of(state) for name, state in segments["States"].items()} == {
        "MoveSegment": {"IsSegmentMoved"},
        "MoveSegmentLarge": {"IsSegmentMoved"},
        "IsSegmentMoved": {"MoveSegment", "MoveSegmentLarge", "SegmentMoved"},
        "SegmentMoved": set(),
    }
    assert {choice["StringEquals"]: choice["Next"] for choice in states["IsSegmentMoved"]["Choices"]} == {
        "CONTINUE": "MoveSegment",
        "LARGE": "MoveSegmentLarge",
    }
    assert states["MoveSegments"]["MaxConcurrencyPath"] == "$.split.at_once"
    assert states["MoveSegments"]["ResultPath"] is None
    handed = {"job_id", "execution", "unit", "split", "run", "n"}
    assert set(states["MoveSegments"]["ItemSelector"]) == {f"{name}.$" for name in handed}


@pytest.mark.parametrize("name", ["MoveSegments", "FinishFile"])
def test_a_split_that_ended_with_an_earlier_run_is_begun_anew(states: dict[str, dict[str, Any]], name: str) -> None:
    assert states[name]["Catch"][0] == {
        "ErrorEquals": [SplitOverError.__name__],
        "ResultPath": None,
        "Next": "ProcessFile",
    }


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_served_by_the_folder_of_its_name(states: dict[str, dict[str, Any]], name: str) -> None:
    assert states[name]["Parameters"]["FunctionName"] == folder_of(name)
    # AwaitExport sleeps: what wakes it is not what its function returned.
    assert states[name].get("OutputPath") == (None if name == "AwaitExport" else "$.Payload")


@pytest.mark.parametrize("name", TASKS)
def test_a_task_waits_out_throttling_lambdas_mishaps_and_a_timeout_with_full_jitter(
    states: dict[str, dict[str, Any]], name: str
) -> None:
    retries = {error: retry for retry in states[name]["Retry"] for error in retry["ErrorEquals"]}
    assert set(retries) == {
        "Lambda.TooManyRequestsException",
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Runtime.ExitError",
        # A timeout leaves the input as it was, the last checkpoint in it: worth another invocation, not many.
        "Sandbox.Timedout",
        "Lambda.Unknown",
        TokensThrottledError.__name__,
    }
    assert all(retry["JitterStrategy"] == "FULL" for retry in retries.values())
    assert retries["Lambda.TooManyRequestsException"]["MaxAttempts"] >= 50
    assert retries[TokensThrottledError.__name__] == retries["Lambda.TooManyRequestsException"]
    assert retries["Runtime.ExitError"]["MaxAttempts"] <= 5
    assert retries["Sandbox.Timedout"]["MaxAttempts"] == 2
    # What AwaitExport waits for is the state's own timeout: another attempt would wait as long again.
    assert "States.Timeout" not in retries


def test_every_failure_before_the_end_reaches_complete_job(machine: dict[str, Any]) -> None:
    for name in ("PollExport", "DispatchFiles", "TransferFiles"):
        caught = machine["States"][name]["Catch"][-1]
        assert caught == {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "CompleteJob"}


def test_a_failure_at_the_start_leaves_the_input_behind(machine: dict[str, Any]) -> None:
    live, other = machine["States"]["StartExport"]["Catch"]
    # `$` in whole is replaced: it works for an input that is no object, and no document travels on.
    assert live == {"ErrorEquals": ["JobIsLiveError"], "ResultPath": "$", "Next": "JobIsLive"}
    assert other == {"ErrorEquals": ["States.ALL"], "ResultPath": "$", "Next": "StartFailed"}
    assert machine["States"]["StartFailed"]["Parameters"] == {"execution.$": "$$.Execution.Id", "error.$": "$"}


def test_a_workflow_sleeps_until_it_is_called_or_has_been_patient(states: dict[str, dict[str, Any]]) -> None:
    state = states["AwaitExport"]
    assert state["Resource"].endswith(":lambda:invoke.waitForTaskToken")
    assert (state["TimeoutSecondsPath"], state["ResultPath"]) == ("$.wait_seconds", None)
    assert state["HeartbeatSecondsPath"] == "$.heartbeat_seconds"
    assert state["Parameters"]["Payload"]["token.$"] == "$$.Task.Token"
    not_called = ["States.HeartbeatTimeout", "States.Timeout"]
    assert state["Catch"][0] == {"ErrorEquals": not_called, "ResultPath": None, "Next": "PollExport"}


def test_every_child_records_its_failure(states: dict[str, dict[str, Any]]) -> None:
    for name in ("ProcessFile", "MoveSegments", "FinishFile"):
        assert states[name]["Catch"][-1] == {
            "ErrorEquals": ["States.ALL"],
            "ResultPath": "$.error",
            "Next": "RecordFailure",
        }
    assert states["ProcessFile"]["Parameters"]["Payload.$"] == "$"
    assert states["RecordFailure"]["Parameters"]["Payload.$"] == "$"


def test_the_map_reads_units_from_the_jobs_bucket_and_tolerates_all(
    template: Template, states: dict[str, dict[str, Any]]
) -> None:
    transfer, jobs_bucket = states["TransferFiles"], f"${{{template.the('AWS::S3::Bucket', 'JobsBucket')[0]}}}"
    assert transfer["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    assert transfer["ItemReader"]["ReaderConfig"] == {"InputType": "JSON"}
    assert transfer["ItemReader"]["Parameters"] == {"Bucket": jobs_bucket, "Key.$": "$.units_key"}
    assert transfer["ItemSelector"] == {
        "job_id.$": "$.job_id",
        "execution.$": "$$.Execution.Id",
        "unit.$": "$$.Map.Item.Value",
    }
    assert transfer["MaxConcurrencyPath"] == "$.max_concurrency"
    assert transfer["ToleratedFailurePercentage"] == 100
    assert transfer["ResultWriter"]["Parameters"] == {
        "Bucket": jobs_bucket,
        "Prefix.$": "States.Format('jobs/{}/map', $.job_id)",
    }
    assert transfer["ResultPath"] is None


def test_what_functions_are_given_are_pointers(states: dict[str, dict[str, Any]]) -> None:
    job = {"job_id.$": "$.job_id", "execution.$": "$$.Execution.Id"}
    assert states["StartExport"]["Parameters"]["Payload"] == {
        "input.$": "$$.Execution.Input",
        "execution.$": "$$.Execution.Id",
        "execution_name.$": "$$.Execution.Name",
    }
    assert states["PollExport"]["Parameters"]["Payload"] == job


def test_a_step_that_is_not_done_is_given_its_own_answer(states: dict[str, dict[str, Any]]) -> None:
    loops = {"IsEmpty": "DispatchFiles", "IsCommitted": "CommitFiles", "IsSuccess": "CompleteJob"}
    for choice, step in loops.items():
        first = states[choice]["Choices"][0]
        assert (first["Variable"], first["StringEquals"], first["Next"]) == ("$.action", "CONTINUE", step)
        assert states[step]["Parameters"]["Payload.$"] == "$"


def validate(machine: dict[str, Any], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "machine.asl.json"
    path.write_text(json.dumps(machine).replace("${AWS::Partition}", "aws"))
    return subprocess.run(
        [*command("asl-validator"), "--json-path", str(path)], capture_output=True, text=True, check=False
    )


def test_the_definition_is_valid_asl(machine: dict[str, Any], tmp_path: Path) -> None:
    verdict = validate(machine, tmp_path)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


def test_the_validator_refuses_a_broken_definition(machine: dict[str, Any], tmp_path: Path) -> None:
    broken = json.loads(json.dumps(machine))
    broken["States"]["CompleteJob"]["Next"] = "Nowhere"
    assert validate(broken, tmp_path).returncode == 1
