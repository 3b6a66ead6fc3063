"""Feature: a list of URLs lands in S3."""

from __future__ import annotations

import json
import subprocess
import uuid

from pytest_bdd import given, parsers, scenarios, then, when

from cli.jobs import Submitted
from tests.features.world import World, sha256_of

scenarios("landing.feature")


@given(parsers.parse("a source with {count:d} files of {size:d} bytes"))
def _(world: World, count: int, size: int) -> None:
    for n in range(count):
        world.add_file(f"/many/{n:04}.bin", size)


@given(parsers.parse("each file states its size, {algorithms}"))
def _(world: World, algorithms: str) -> None:
    for wanted in world.files.values():
        wanted.entry |= {name: wanted.body.digest(name) for name in algorithms.split(", ")} | {"size": wanted.body.size}


@given("the list is a CSV manifest in the jobs bucket")
def _(world: World) -> None:
    rows = [f"{wanted.entry['url']},{wanted.body.digest()}" for wanted in world.files.values()]
    key = world.jobs.upload(f"{world.job_id}.csv", "\n".join(["url,sha256", *rows]).encode())
    world.document["source"] = {"type": "manifest", "location": f"s3://{world.jobs.jobs_bucket}/{key}"}


@given(parsers.parse("{name:w} is in the bucket already"))
def _(world: World, name: str) -> None:
    world.jobs.s3.put_object(Bucket=world.bucket_of(name), Key=world.key_of(name), Body=b"before")


@when("an execution is started with the job inline")
def _(world: World) -> None:
    started = world.jobs.stepfunctions.start_execution(
        stateMachineArn=world.jobs.state_machine_arn,
        name=str(uuid.uuid4()),
        input=json.dumps({"job": world.job()}),
    )
    world.submitted = Submitted(world.job_id, started["executionArn"])
    world.wait()


@then("SHA256SUMS agrees with what lies on disk")
def _(world: World) -> None:
    sums = world.output("SHA256SUMS")
    assert len(sums.read_text().splitlines()) == len(world.files)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", sums], cwd=world.landed, check=True)


@then(parsers.parse("{bucket} holds {name}"))
def _(world: World, bucket: str, name: str) -> None:
    assert sha256_of(world.landed / bucket / world.key_of(name)) == world.files[name].body.digest()


@then(parsers.parse("{name:w} still holds what it held"))
def _(world: World, name: str) -> None:
    assert world.on_disk(name).read_bytes() == b"before"
