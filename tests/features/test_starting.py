"""Feature: jobs start in more than one way."""

from __future__ import annotations

import json
from typing import Any

from pytest_bdd import parsers, scenarios, then, when

from cli.jobs import EXECUTION_ENDS, Submitted
from tests.features.world import World
from tests.support.waiting import wait_until

scenarios("starting.feature")

BEGUN_SECONDS = 60
ROLE = "arn:aws:iam::123456789012:role/waits"


@when("an event asks for the job")
def _(world: World) -> None:
    ask(world)
    wait_until(lambda: world.jobs.read(world.job_id) is not None)
    view = world.jobs.read(world.job_id)
    assert view is not None and view.execution is not None
    world.submitted = Submitted(world.job_id, view.execution)


@when("its transfer has begun")
def _(world: World) -> None:
    assert world.begun.wait(BEGUN_SECONDS)


@when("an event asks for the job again")
def _(world: World) -> None:
    before = len(executions(world))
    ask(world)
    wait_until(lambda: len(executions(world)) > before)
    newest = executions(world)[0]["executionArn"]
    wait_until(lambda: world.jobs.execution_status(Submitted(world.job_id, newest)) in EXECUTION_ENDS)


@when("another workflow starts the job and waits", target_fixture="waiting")
def _(world: World) -> str:
    """A machine whose one state hands its token over and sleeps until it is answered."""
    sqs, sfn = world.engine.client("sqs"), world.jobs.stepfunctions
    queue = sqs.create_queue(QueueName=world.job_id)["QueueUrl"]
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody": {"token.$": "$$.Task.Token"}},
        "End": True,
    }
    definition = json.dumps({"StartAt": "Wait", "States": {"Wait": task}})
    machine = sfn.create_state_machine(name=world.job_id, definition=definition, roleArn=ROLE)["stateMachineArn"]
    execution = str(sfn.start_execution(stateMachineArn=machine, input="{}")["executionArn"])
    messages: list[Any] = []
    wait_until(lambda: bool(messages.extend(sqs.receive_message(QueueUrl=queue).get("Messages", [])) or messages))
    token = json.loads(messages[0]["Body"])["token"]
    world.run(world.job() | {"task_token": token})
    return execution


@then(parsers.parse("it was run {runs:d} time"))
def _(world: World, runs: int) -> None:
    row = next(row for row in world.rows() if (row["pk"]["S"], row["sk"]["S"]) == (f"JOB#{world.job_id}", "JOB"))
    assert row["run"] == {"N": str(runs)}


@then("that workflow goes on with the summary")
def _(world: World, waiting: str) -> None:
    end = ended(world, waiting)
    assert end["status"] == "SUCCEEDED"
    summary = json.loads(end["output"])
    assert (summary["job_id"], summary["status"], summary["files"]["stored"]) == (world.job_id, "COMPLETED", 1)


@then(parsers.parse("that workflow fails with {error:w}"))
def _(world: World, waiting: str, error: str) -> None:
    end = ended(world, waiting)
    assert (end["status"], end["error"]) == ("FAILED", error)


def ask(world: World) -> None:
    entry = {
        "Source": "a.calendar",
        "DetailType": "Sluiceway Job Requested",
        "Detail": json.dumps({"job": world.job()}),
        "EventBusName": world.engine.outputs["EventBusName"],
    }
    answer = world.engine.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0


def executions(world: World) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = world.jobs.stepfunctions.list_executions(
        stateMachineArn=world.engine.outputs["StateMachineArn"]
    )["executions"]
    return sorted(listed, key=lambda each: each["startDate"], reverse=True)


def ended(world: World, execution: str) -> dict[str, Any]:
    sfn = world.jobs.stepfunctions
    wait_until(lambda: sfn.describe_execution(executionArn=execution)["status"] in EXECUTION_ENDS)
    end: dict[str, Any] = sfn.describe_execution(executionArn=execution)
    return end
