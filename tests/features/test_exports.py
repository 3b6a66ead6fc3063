"""Features: export APIs are asked, awaited and listed, or call by themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pytest_bdd import given, parsers, scenarios, then, when

from tests.features.vendor import KEY, Api
from tests.features.world import World
from tests.support.source import Reply
from tests.support.waiting import wait_until

scenarios("exports.feature", "exports_by_polling.feature", "callbacks.feature")


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    api = Api(world)
    yield api
    for thread in api.threads:
        thread.join()


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


@given(parsers.parse("the vendor says {word:w}"))
def _(api: Api, word: str) -> None:
    api.running = word


@given("the API answers with a page of HTML")
def _(api: Api) -> None:
    api.html = True


@given(parsers.parse("the vendor states a wrong digest for {name}"))
def _(api: Api, name: str) -> None:
    api.wrong.add(name)


@given("the job says how to finish and to abort an export")
def _(world: World, api: Api) -> None:
    api.more |= {what: {"method": "POST", "url": world.url(f"/{what}")} for what in ("finish", "abort")}


@given(parsers.parse("the job asks {count:d} times at most"))
def _(api: Api, count: int) -> None:
    api.poll["max_polls"] = count


@given("the list comes a file a page")
def _(api: Api) -> None:
    api.paged = True


@given("the total changes after the first page")
def _(api: Api) -> None:
    api.total_changes = True


@given("each file's link must be asked for")
def _(api: Api) -> None:
    api.links = True


@given("the API wants a token that it soon forgets")
def _(world: World, api: Api) -> None:
    api.guard()
    use_tokens(world, api)


@given("the API gives nobody a token")
def _(world: World, api: Api) -> None:
    api.gives_tokens = False
    use_tokens(world, api)


@given("the job misspells the status mapping")
def _(api: Api) -> None:
    api.poll["status_maping"] = {}


@given("the job waits for a call")
def _(world: World, api: Api) -> None:
    secret = world.put_secret(KEY)
    api.more |= {"wait": "callback", "callback": {"secret": secret, "timeout_minutes": 5}}
    api.running_polls = 0


@given("the vendor calls once the job sleeps")
def _(api: Api) -> None:
    api.call = "once asleep"


@given("the vendor calls before it answers the start request")
def _(api: Api) -> None:
    api.call = "first"


@given("a stranger calls first")
def _(api: Api) -> None:
    api.stranger = True


@given(parsers.parse("the job is patient for {seconds:d} second"))
def _(api: Api, seconds: int) -> None:
    api.more["callback"]["timeout_minutes"] = seconds / 60


@given(parsers.parse('the vendor says of its progress "{text}"'))
def _(api: Api, text: str) -> None:
    api.progress = text.replace("ESC", "\x1b")
    api.poll["progress"] = "progress"


@then(parsers.parse('the job\'s view told of "{text}" while it waited'))
def _(world: World, text: str) -> None:
    assert {view.export_told for view in world.seen if view.export_told} == {text}


@given(parsers.parse("the job wants a sign of life every {seconds:d} second"))
@given(parsers.parse("the job wants a sign of life every {seconds:d} seconds"))
def _(api: Api, seconds: int) -> None:
    api.more["callback"]["heartbeat_minutes"] = seconds / 60


@given(parsers.parse("the vendor calls after {polls:d} polls"))
def _(api: Api, polls: int) -> None:
    api.call, api.calls_after = "after polls", polls


@when("a job of the export falls asleep and is stopped")
def _(world: World, api: Api) -> None:
    world.start(api.document())
    wait_until(lambda: any("token" in row for row in api.callback_rows()))
    assert world.submitted is not None
    world.jobs.cancel(world.submitted)


@when("a job lands the export")
def _(world: World, api: Api) -> None:
    world.run(api.document())


@then(parsers.parse("the API was asked to start {starts:d} time and polled {polls:d} times"))
def _(world: World, starts: int, polls: int) -> None:
    assert len(world.asked("/exports", "POST")) == starts
    assert len(world.asked("/exports/e1")) == polls


@then(parsers.parse("the vendor was told to finish {finished:d} time and to abort {aborted:d} times"))
@then(parsers.parse("the vendor was told to finish {finished:d} times and to abort {aborted:d} time"))
def _(world: World, finished: int, aborted: int) -> None:
    assert (len(world.asked("/finish", "POST")), len(world.asked("/abort", "POST"))) == (finished, aborted)


@then("the file that was refused was asked for again with a new token")
def _(api: Api) -> None:
    assert api.refused == 1 or len(api.forgotten) == 1


@when(parsers.parse("{name:w} is there for whoever has a token"))
def _(world: World, api: Api, name: str) -> None:
    path = world.files[name].path
    world.answer(path, api.guarded(path, Reply(world.files[name].body)))


@then("no token stands in any report, row or execution")
def _(world: World, api: Api) -> None:
    assert world.submitted is not None and api.tokens
    execution = world.jobs.stepfunctions.describe_execution(executionArn=world.submitted.execution)
    seen = json.dumps([world.rows(), execution["input"], execution.get("output")])
    for name in ("report.jsonl", "summary.json", "failed.jsonl"):
        seen += world.output(name).read_text()
    assert not [token for token in api.tokens if token in seen]


@then("the vendor's call was heard")
def _(api: Api) -> None:
    for thread in api.threads:
        thread.join()
    assert api.heard == 202


@then("the stranger was refused")
def _(api: Api) -> None:
    assert api.stranger_heard == 403


def use_tokens(world: World, api: Api) -> None:
    secret = world.put_secret(json.dumps({"client_id": "id", "client_secret": "secret-of-client"}))
    auth = {"type": "oauth2", "token_url": world.url("/token"), "secret": secret}
    api.more |= {"auth": auth, "download": {"auth": "inherit"}}
