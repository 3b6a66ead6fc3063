"""Feature: links that expire."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from pytest_bdd import given, parsers, scenarios, then, when

from sluiceway.transfer.plan import MIN_PART_BYTES
from tests.features.vendor import Api
from tests.features.world import World
from tests.support.source import Reply, Request

scenarios("expiring.feature")

ETAG = '"v1"'


@dataclass
class Signing(Api):
    """Every list has links of its own; once there are newer ones the older are dead."""

    lists: int = 0
    most: int = 99

    def done(self) -> dict[str, Any]:
        self.lists += 1
        return super().done() if self.lists <= self.most else {"state": "ERROR"}

    def listed(self) -> list[dict[str, Any]]:
        return [{**file, "href": f"{file['href']}?sig={self.lists}"} for file in super().listed()]


@pytest.fixture
def api(world: World) -> Signing:
    return Signing(world, running_polls=0)


@given("an export API that signs its links anew with every list")
def _(world: World, api: Signing, datatable: list[list[str]]) -> None:
    for path, size in datatable[1:]:
        world.add_file(path, int(size))
    api.serve()


@given(parsers.parse("the first link of {name:w} dies after {count:d} bytes"))
def _(world: World, name: str, count: int) -> None:
    body = world.files[name].body.read()

    def answer(request: Request) -> Reply:
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(asked[1]) if asked and request.headers["If-Range"] == ETAG else 0
        if request.path.endswith("?sig=1"):
            return Reply(b"expired", 403) if asked else Reply(body, headers={"ETag": ETAG}, cut_after=count)
        place = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        return Reply(body[start:], 206 if start else 200, {"ETag": ETAG, **place})

    world.answer(world.files[name].path, answer)


@given("the API lists its files only once")
def _(api: Signing) -> None:
    api.most = 1


@when("a job lands the export")
def _(world: World, api: Signing) -> None:
    world.run(api.document())


@when("a job lands all of the export or none")
def _(world: World, api: Signing) -> None:
    world.run({**api.document(), "commit": "all-or-nothing"})


@then(parsers.parse("{name:w} was read from its first byte once, and then from its last whole part"))
def _(world: World, name: str) -> None:
    path = world.path(world.files[name].path)
    asked = [request for request in world.source.requests if request.path.partition("?")[0] == path]
    assert [request.headers.get("Range") is None for request in asked] == [True, False, False]
    died, begun = (int(request.headers["Range"].removeprefix("bytes=").rstrip("-")) for request in asked[1:])
    # What was read of a part that S3 would find too small is read again, and no more than that.
    assert 0 < begun <= died < begun + MIN_PART_BYTES


@then("nothing is unfinished")
def _(world: World) -> None:
    assert world.unfinished_uploads(world.engine.outputs["LandingBucket"]) == []
