"""Feature: all files or none."""

from __future__ import annotations

from pytest_bdd import given, parsers, scenarios, then

from tests.features.conftest import Calls
from tests.features.world import World

scenarios("together.feature")


@given("the job lands all of its files or none")
def _(world: World) -> None:
    world.document["commit"] = "all-or-nothing"


@given(parsers.parse("the job tolerates that {percent:d} percent of its files fail"))
def _(world: World, percent: int) -> None:
    world.document["limits"] = {"failed_files_percent": percent}


@given(parsers.parse("S3 answers the completion of {name:w} by 409"))
def _(world: World, calls: Calls, name: str) -> None:
    calls.conflicts.append(f"/{world.bucket_of(name)}/{world.key_of(name)}")


@then(parsers.parse("{name:w} is asked for {times}"))
def _(world: World, name: str, times: str) -> None:
    assert len(world.asked(world.files[name].path)) == {"once": 1, "twice": 2}[times]
