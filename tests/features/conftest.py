"""One engine for all scenarios of a process, a world for each, and the sentences that features share.

The engine goes when the process turns to another folder of tests: a process runs one engine at a time.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_bdd import given, parsers, then, when

from cli.jobs import JobsClient
from local.calls import Call
from local.engine import Engine
from local.http import Response
from sluiceway.job_files import key_of
from tests.features.events import Listener
from tests.features.world import World, sha256_of
from tests.support.source import Reply, SourceServer

OTHER_BUCKET = "other-bucket"
CONFLICT = b"<Error><Code>ConditionalRequestConflict</Code><Message>Upload the parts again.</Message></Error>"


class Calls(list[Call]):
    """Every AWS call made so far. The next completion of an upload to each of the paths in `conflicts` is answered by
    409."""

    def __init__(self) -> None:
        super().__init__()
        self.conflicts = list[str]()

    def on_call(self, call: Call) -> Response | None:
        self.append(call)
        if call.method != "POST" or "uploadId=" not in call.query or call.path not in self.conflicts:
            return None
        self.conflicts.remove(call.path)
        return Response(409, [("Content-Type", "application/xml")], CONFLICT)


@pytest.fixture(scope="package")
def served() -> Iterator[SourceServer]:
    with SourceServer() as server:
        yield server


@pytest.fixture(scope="package")
def refused() -> Iterator[SourceServer]:
    with SourceServer() as server:
        yield server


@pytest.fixture(scope="package")
def closed() -> Iterator[str]:
    """A port that is bound and not listened on: nobody else takes it, and whoever connects is refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture(scope="package")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("landed")


@pytest.fixture(scope="package")
def settings(served: SourceServer, closed: str) -> dict[str, str]:
    return {
        "part_mib": "5",
        "split_bytes": "10000000",
        "destination_buckets": OTHER_BUCKET,
        "allowed_sources": f"{served.host},{closed}",
    }


@pytest.fixture(scope="package")
def calls() -> Calls:
    return Calls()


@pytest.fixture(scope="package")
def engine(landed: Path, settings: dict[str, str], calls: Calls) -> Iterator[Engine]:
    with Engine(landed, settings=settings, wait_scale=0.1, on_call=calls.on_call) as engine:
        yield engine


@pytest.fixture(scope="package")
def listener(engine: Engine) -> Listener:
    return Listener(engine)


@pytest.fixture
def world(engine: Engine, landed: Path, served: SourceServer, refused: SourceServer, closed: str) -> Iterator[World]:
    jobs = JobsClient.of_stack(engine.client, engine.outputs)
    world = World(engine, landed, served, refused, closed, jobs)
    yield world
    world.release()


@given("a source with these files")
def _(world: World, datatable: list[list[str]]) -> None:
    columns, *rows = datatable
    for row in rows:
        facts = dict(zip(columns, row, strict=True))
        world.add_file(facts["path"], int(facts["size"]), facts.get("bucket", ""))


@given(parsers.parse("{name:w} has another {fact:w}"))
def _(world: World, name: str, fact: str) -> None:
    others = {"sha256": "0" * 64, "md5": "0" * 32, "size": 12345}
    world.files[name].entry[fact] = others[fact]


@given(parsers.parse("{name:w} answers {status:d}"))
def _(world: World, name: str, status: int) -> None:
    world.answer(world.files[name].path, Reply(b"" if status == 204 else b"sorry", status))


@given(parsers.parse("{name:w} is held back"))
def _(world: World, name: str) -> None:
    world.hold(name)


@given("the job says if_exists is never")
def _(world: World) -> None:
    world.document["destination"] = {"if_exists": "never"}


@when("a job lands all of them")
def _(world: World) -> None:
    world.run()


@when("a job lands what failed.jsonl of that job lists")
def _(world: World) -> None:
    key = key_of(world.job_id, "failed.jsonl")
    (entry,) = world.failed()
    world.files = {name: wanted for name, wanted in world.files.items() if wanted.entry["url"] == entry["url"]}
    source = {"type": "manifest", "location": f"s3://{world.jobs.jobs_bucket}/{key}"}
    # Keys carry the folder of the first job: the second only needs another id.
    folder, world.job_id = world.job_id, f"{world.job_id}-again"
    for wanted in world.files.values():
        wanted.entry["key"] = f"{folder}{wanted.path}"
    world.run({"job_id": world.job_id, "source": source})


@when(parsers.parse("{name:w} is released"))
def _(world: World, name: str) -> None:
    world.release()


@then(parsers.parse("the job is {state:w}"))
def _(world: World, state: str) -> None:
    view = world.wait()
    assert view.state == state, (view.error, world.problems())


@then(parsers.parse("the job is {state:w} because of {error:w}"))
def _(world: World, state: str, error: str) -> None:
    view = world.wait()
    assert view.error is not None
    assert (view.state, view.error["type"]) == (state, error)


@then(parsers.parse("{count:d} files are stored"))
def _(world: World, count: int) -> None:
    assert world.view is not None
    assert world.view.counts.stored == count
    summary = json.loads(world.output("summary.json").read_text())
    assert summary["files"]["stored"] == count


@then("every stored file is identical to its source")
def _(world: World) -> None:
    stored = [name for name in world.files if world.report()[world.key_of(name)]["status"] == "STORED"]
    assert stored
    for name in stored:
        body, path = world.files[name].body, world.on_disk(name)
        assert (path.stat().st_size, sha256_of(path)) == (body.size, body.digest()), name
        line = world.report()[world.key_of(name)]
        assert (line["bytes"], line["sha256"], line["error"]) == (body.size, body.digest(), None)


@then(parsers.parse("{name:w} is {state:w}"))
def _(world: World, name: str, state: str) -> None:
    assert world.report()[world.key_of(name)]["status"] == state


@then(parsers.parse("{name:w} is {state:w} because of {error:w}"))
def _(world: World, name: str, state: str, error: str) -> None:
    line = world.report()[world.key_of(name)]
    assert (line["status"], line["error"]["type"]) == (state, error), line


@then(parsers.parse("nothing is left of {name}"))
def _(world: World, name: str) -> None:
    assert not world.on_disk(name).exists()
    if (world.landed / world.bucket_of(name)).exists():
        assert world.key_of(name) not in world.unfinished_uploads(world.bucket_of(name))


@then("the report has a line for every file")
def _(world: World) -> None:
    assert world.report().keys() == {world.key_of(name) for name in world.files}
