"""Feature: all files or none."""

from __future__ import annotations

from pytest_bdd import given, parsers, scenarios

from tests.features.world import World

scenarios("together.feature")


@given("the job lands all of its files or none")
def _(world: World) -> None:
    world.document["commit"] = "all-or-nothing"


@given(parsers.parse("the job tolerates that {percent:d} percent of its files fail"))
def _(world: World, percent: int) -> None:
    world.document["limits"] = {"failed_files_percent": percent}
