"""Feature: an export API is asked, awaited and listed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from pytest_bdd import given, parsers, scenarios, then, when

from tests.features.world import World
from tests.support.source import Reply, Request

scenarios("exports.feature")


@dataclass
class Api:
    """Answers `POST exports` and `GET exports/e1` under the scenario's folder."""

    world: World
    running_polls: int = 1
    end: str = "DONE"
    at_once: bool = False
    html: bool = False
    wrong: set[str] = field(default_factory=set)

    def serve(self) -> None:
        self.world.answer("/exports", self.on_start)
        self.world.answer("/exports/e1", self.on_poll)

    def on_start(self, request: Request) -> Reply:
        assert request.method == "POST"
        assert json.loads(request.body) == {"table": "orders"}
        return self.reply({"id": "e1", "state": "QUEUED"} if not self.at_once else self.done())

    def on_poll(self, _: Request) -> Reply:
        self.running_polls -= 1
        return self.reply({"state": "RUNNING"} if self.running_polls >= 0 else self.done())

    def reply(self, said: dict[str, Any]) -> Reply:
        return Reply(b"<html>down</html>") if self.html else Reply(json.dumps(said).encode())

    def done(self) -> dict[str, Any]:
        listed = [
            {
                "href": wanted.entry["url"],
                "bytes": wanted.body.size,
                "checksum": "0" * 64 if name in self.wrong else wanted.body.digest(),
            }
            for name, wanted in self.world.files.items()
        ]
        return {"state": self.end, "reason": "quota", "result": {"files": listed}}


@pytest.fixture
def api(world: World) -> Api:
    return Api(world)


@given("an export API with these files")
def _(world: World, api: Api, datatable: list[list[str]]) -> None:
    for path, size in datatable[1:]:
        world.add_file(path, int(size))
    api.serve()


@given(parsers.parse("the export takes {count:d} polls"))
def _(api: Api, count: int) -> None:
    api.running_polls = count


@given("the start request answers with the list")
def _(api: Api) -> None:
    api.at_once = True


@given("the export fails at the vendor")
def _(api: Api) -> None:
    api.end = "ERROR"


@given("the API answers with a page of HTML")
def _(api: Api) -> None:
    api.html = True


@given(parsers.parse("the vendor states a wrong digest for {name}"))
def _(api: Api, name: str) -> None:
    api.wrong.add(name)


@when("a job lands the export")
def _(world: World, api: Api) -> None:
    poll = {
        "url": world.url("/exports/") + "{{ id }}",
        "status": "state",
        "status_mapping": {"running": ["QUEUED", "RUNNING"], "completed": ["DONE"], "failed": ["ERROR"]},
        "interval_seconds": 1,
    }
    source = {
        "type": "http",
        "start": {"url": world.url("/exports"), "json": {"table": "orders"}},
        "files": {"list": "result.files", "url": "href", "size": "bytes", "digests": {"sha256": "checksum"}},
    }
    world.run({"job_id": world.job_id, "source": source if api.at_once else source | {"poll": poll}})


@then(parsers.parse("the API was asked to start {starts:d} time and polled {polls:d} times"))
def _(world: World, starts: int, polls: int) -> None:
    assert len(world.asked("/exports", "POST")) == starts
    assert len(world.asked("/exports/e1")) == polls
