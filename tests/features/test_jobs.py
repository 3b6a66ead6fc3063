"""Feature: a job is one thing, whoever asks."""

from __future__ import annotations

from pytest_bdd import given, parsers, scenarios, then, when

from cli.jobs import EXECUTION_ENDS
from tests.features.events import Listener
from tests.features.world import World
from tests.support.waiting import wait_until

scenarios("jobs.feature")

BEGUN_SECONDS = 60


@given("the event bus is listened to")
def _(listener: Listener) -> None:
    """The fixture does it."""


@when("a job is started and its transfer has begun")
def _(world: World) -> None:
    world.start()
    assert world.begun.wait(BEGUN_SECONDS)


@when("the same job is started again")
def _(world: World) -> None:
    world.second = world.jobs.submit(world.job())


@when("the same job is run again")
def _(world: World) -> None:
    world.run()


@when("its execution is stopped")
def _(world: World) -> None:
    assert world.submitted is not None
    world.jobs.cancel(world.submitted)


@then(parsers.parse("the second execution fails with {error:w}"))
def _(world: World, error: str) -> None:
    second = world.second
    assert second is not None
    wait_until(lambda: world.jobs.execution_status(second) in EXECUTION_ENDS)
    assert world.jobs.execution_end(second).startswith(f"FAILED: {error}")


@then(parsers.parse("the source was asked once for {name}"))
def _(world: World, name: str) -> None:
    assert len(world.asked(world.files[name].path)) == 1


@then(parsers.parse("it is run {run:d} of the job"))
def _(world: World, run: int) -> None:
    row = world.jobs.dynamodb.get_item(
        TableName=world.jobs.jobs_table, Key={"pk": {"S": f"JOB#{world.job_id}"}, "sk": {"S": "JOB"}}
    )
    assert row["Item"]["run"] == {"N": str(run)}


@then(parsers.parse("the job's states were announced as {states}"))
def _(world: World, listener: Listener, states: str) -> None:
    changes = listener.of_job(world.job_id, "Sluiceway Job State Change")
    assert [change["state"] for change in changes] == states.split(", ")
    assert changes[-1]["files"] == {"stored": 1, "skipped": 0, "rejected": 1, "failed": 0, "cancelled": 0}


@then(parsers.parse("{name:w} was announced as {state:w}"))
def _(world: World, listener: Listener, name: str, state: str) -> None:
    (change,) = listener.of_job(world.job_id, "Sluiceway File State Change")
    assert (change["key"], change["state"]) == (world.key_of(name), state)


@then(parsers.parse("{name:w} was not announced"))
def _(world: World, listener: Listener, name: str) -> None:
    changes = listener.of_job(world.job_id, "Sluiceway File State Change")
    assert world.key_of(name) not in [change["key"] for change in changes]
