"""Feature: a bad file harms no other."""

from __future__ import annotations

import json

from pytest_bdd import given, parsers, scenarios, then, when

from tests.features.events import Listener
from tests.features.world import World
from tests.support.source import Reply

scenarios("failures.feature")

SIGNATURE = "s3cr3tsignature"


@given(parsers.parse("{name:w} is cut short"))
def _(world: World, name: str) -> None:
    world.answer(world.files[name].path, Reply(world.files[name].body, cut_after=6_000_000))


@given(parsers.parse("{name:w} is on a host nobody serves"))
def _(world: World, name: str) -> None:
    world.files[name].entry["url"] = f"http://{world.closed}{world.path(world.files[name].path)}"


@given(parsers.parse("{name:w} is on a host not allowed"))
def _(world: World, name: str) -> None:
    world.files[name].entry["url"] = world.refused.url(world.path(world.files[name].path))


@given(parsers.parse("{name:w} redirects to a host not allowed"))
def _(world: World, name: str) -> None:
    target = world.refused.url(world.path(world.files[name].path))
    world.answer(world.files[name].path, Reply(status=302, headers={"Location": target}))


@given(parsers.parse("{name:w} is larger than the job allows"))
def _(world: World, name: str) -> None:
    world.document["limits"] = {"max_file_bytes": world.files[name].body.size - 1}


@given(parsers.parse("{name:w} goes to a bucket not there"))
def _(world: World, name: str) -> None:
    world.files[name].entry["bucket"] = "bucket-not-there"


@given(parsers.parse("both files have the key {key:w}"))
def _(world: World, key: str) -> None:
    for wanted in world.files.values():
        wanted.entry["key"] = f"{world.job_id}/{key}"


@given("every link carries a signature")
def _(world: World) -> None:
    for wanted in world.files.values():
        wanted.entry["url"] += f"?X-Signature={SIGNATURE}"


@when(parsers.parse("{name:w} is mended"))
def _(world: World, name: str) -> None:
    world.answer(world.files[name].path, Reply(world.files[name].body))


@then(parsers.parse("failed.jsonl lists {name} alone"))
def _(world: World, name: str) -> None:
    (entry,) = world.failed()
    assert (entry["key"], entry["url"]) == (world.key_of(name), world.files[name].entry["url"])


@then("the error names both URLs")
def _(world: World) -> None:
    assert world.view is not None and world.view.error is not None
    for wanted in world.files.values():
        assert wanted.entry["url"] in world.view.error["message"]


@then("the source was asked for nothing")
def _(world: World) -> None:
    assert world.asked() == []


@then("the signature stands in no report, event, row or execution")
def _(world: World, listener: Listener) -> None:
    assert world.submitted is not None
    told = {name: world.output(name).read_text() for name in ("report.jsonl", "SHA256SUMS", "summary.json")}
    told["rows"] = json.dumps(world.jobs.dynamodb.scan(TableName=world.jobs.jobs_table)["Items"])
    told["events"] = json.dumps(listener.of_job(world.job_id, "Sluiceway File State Change"))
    history = world.jobs.stepfunctions.get_execution_history(executionArn=world.submitted.execution, maxResults=1000)
    told["execution"] = json.dumps(history["events"], default=str)
    for where, text in told.items():
        assert world.job_id in text or where in ("events", "SHA256SUMS"), where
        assert SIGNATURE not in text, where
