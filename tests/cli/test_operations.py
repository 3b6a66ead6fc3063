"""Every command of docs/operations.md, tried against an engine where the engine can, else held against its model."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jmespath
import pytest

from infra.deploy import parse as parse_deploy
from tests.support import aws_words
from tests.support.commands import sluiceway
from tests.support.engine_process import EngineProcess, engine_process
from tests.support.source import Body, Reply, SourceServer

DOC = Path(__file__).parents[2] / "docs" / "operations.md"
# What only AWS has: quotas of an account, saved queries of the logs, and redrives.
ONLY_IN_AWS = {"service-quotas", "logs", "lambda get-account-settings", "stepfunctions redrive-execution"}
BEGUN_SECONDS = 60


@dataclass(frozen=True)
class Command:
    section: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.section}: {' '.join(self.words)}"


def commands() -> list[Command]:
    found: list[Command] = []
    for part in re.split(r"^##+ ", DOC.read_text(), flags=re.MULTILINE):
        for block in re.findall(r"```sh\n(.*?)```", part, flags=re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if words := shlex.split(line, comments=True):
                    found.append(Command(part.splitlines()[0], tuple(words)))
    return found


@dataclass
class Desk:
    """An operator's desk: what the words in capitals stand for, by what earlier commands answered."""

    engine: EngineProcess
    source: SourceServer
    folder: Path
    names: dict[str, str]
    replies: dict[str, Any] = field(default_factory=dict)

    def fill(self, words: tuple[str, ...]) -> list[str]:
        pattern = re.compile("|".join(rf"\b{name}\b" for name in sorted(self.names, key=len, reverse=True)))
        return [pattern.sub(lambda match: self.names[match[0]], word) for word in words]


def held(source: SourceServer, path: str) -> tuple[threading.Event, threading.Event]:
    begun, release = threading.Event(), threading.Event()

    def answer(_: object) -> Reply:
        begun.set()
        return Reply(Body(12_000_000), hold=release)

    source.replies[path] = answer
    return begun, release


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "secrets.json").write_text(json.dumps({"sluiceway/acme": {"Authorization": "old"}}))
    (folder / "new-secret.json").write_text(json.dumps({"Authorization": "new"}))
    with (
        SourceServer() as source,
        engine_process(folder, "--allow-source", source.host, "--secrets", folder / "secrets.json") as engine,
    ):
        source.replies |= {"/a": Reply(Body(1000)), "/gone": Reply(b"", 404)}
        jobs = {"ops": ["/a", "/gone"], "cancel-me": ["/held-1"], "slow-me": ["/held-2"]}
        holds = [held(source, "/held-1"), held(source, "/held-2")]
        started = {}
        for job_id, paths in jobs.items():
            (folder / f"{job_id}.txt").write_text("\n".join(source.url(path) for path in paths))
            arguments = ["--job-id", job_id, "--json", "--endpoint-url", engine.endpoint_url]
            started[job_id] = sluiceway("submit", folder / f"{job_id}.txt", *arguments).json
        assert all(begun.wait(BEGUN_SECONDS) for begun, _ in holds)
        assert sluiceway("watch", "ops", "--endpoint-url", engine.endpoint_url).code == 1
        # An aborted upload that nobody will finish, and an end that nobody has heard of.
        s3 = engine.client("s3")
        upload = s3.create_multipart_upload(Bucket="landing", Key="stale/key")["UploadId"]
        queue = engine.client("sqs").list_queues()["QueueUrls"][0]
        event = {"detail": {"status": "FAILED", "executionArn": started["ops"]["execution"]}}
        engine.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(event))
        functions = engine.client("lambda").list_functions()["Functions"]
        (complete_job,) = [each for each in functions if each["Handler"].startswith("complete_job.")]
        bus = engine.client("events").describe_event_bus()["Arn"]
        try:
            yield Desk(
                engine,
                source,
                folder,
                {
                    "JOB_ID": "ops",
                    "JOB_FOLDER": str(folder / "job"),
                    "OUT_FILE": str(folder / "out.json"),
                    "EVENT_FILE": str(folder / "event.json"),
                    "FAILED_FILE": str(folder / "failed.jsonl"),
                    "SECRET_FILE": str(folder / "new-secret.json"),
                    "SECRET": "sluiceway/acme",
                    "QUEUE_URL": queue,
                    "COMPLETE_JOB": complete_job["FunctionName"],
                    "JOBS_BUCKET": engine.outputs["JobsBucket"],
                    "LANDING_BUCKET": engine.outputs["LandingBucket"],
                    "KEY": "stale/key",
                    "UPLOAD_ID": upload,
                    "BUS_ARN": bus,
                    "REPLAY": "once",
                    "START": "2026-11-23T00:00:00Z",
                    "END": "2026-11-24T00:00:00Z",
                    "EXECUTION_ARN": started["slow-me"]["execution"],
                    "MAP_RUN_ARN": "arn:aws:states:us-east-1:123456789012:mapRun:to/be:learned",
                    "RECEIPT": "to be learned",
                    "ARCHIVE_ARN": "to be learned",
                },
            )
        finally:
            for _, release in holds:
                release.set()


def test_every_command_does_what_the_document_says(desk: Desk) -> None:
    for command in commands():
        words = desk.fill(command.words)
        if command.section == "Cancel a job":
            words = ["cancel-me" if word == "ops" else word for word in words]
        match words:
            case ["sluiceway", *arguments]:
                if arguments[0] == "submit":  # what failed, after its links were mended
                    desk.source.replies["/gone"] = Reply(Body(10))
                ended = sluiceway(*arguments, env=desk.engine.environment)
                assert (ended.code in (0, 1), ended.stderr.count("Error:")) == (True, 0), (command, ended)
            case ["aws", *arguments]:
                _try(desk, command, arguments)
            case ["make", verb, assignment]:
                assert parse_deploy([verb, *assignment.removeprefix("ARGS=").split()]).settings, command
            case _:
                raise AssertionError(f"nobody can try {command}")
    _look(desk)


def _try(desk: Desk, command: Command, arguments: list[str]) -> None:
    call = aws_words.parse(arguments)
    if not ONLY_IN_AWS.isdisjoint({arguments[0], " ".join(arguments[:2])}):
        return
    reply = call.make(desk.engine.client(call.service))
    shown = jmespath.search(call.query, reply) if call.query else reply
    assert shown, command
    desk.replies[call.operation] = reply
    match call.operation:
        case "ReceiveMessage":
            desk.names["RECEIPT"], event = shown
            Path(desk.names["EVENT_FILE"]).write_text(event)
        case "ListStackResources":
            found = {physical.rpartition("/")[2] for _, physical in shown}
            assert {desk.names["QUEUE_URL"].rpartition("/")[2], desk.names["COMPLETE_JOB"]} <= found
        case "ListMapRuns":
            desk.names["MAP_RUN_ARN"] = reply["mapRuns"][0]["mapRunArn"]
        case "CreateArchive":
            desk.names["ARCHIVE_ARN"] = reply["ArchiveArn"]


def _look(desk: Desk) -> None:
    """What the commands were to bring about."""
    view = sluiceway("report", "cancel-me", "--json", env=desk.engine.environment).json
    assert view["status"] == "CANCELLED"
    assert desk.replies["DescribeMapRun"]["maxConcurrency"] == 20
    assert "FunctionError" not in desk.replies["Invoke"]
    secret = desk.engine.client("secretsmanager").get_secret_value(SecretId="sluiceway/acme")["SecretString"]
    assert json.loads(secret) == {"Authorization": "new"}
    uploads = desk.engine.client("s3").list_multipart_uploads(Bucket="landing").get("Uploads", [])
    assert "stale/key" not in [upload["Key"] for upload in uploads]
    assert (desk.folder / "job" / "report.jsonl").exists()


def test_every_alarm_has_its_section_and_its_row() -> None:
    names = re.findall(r'Alarm\(\s*"(\w+)"', (DOC.parents[1] / "infra" / "alarms.py").read_text())
    text = DOC.read_text()
    assert len(names) > 5
    for name in names:
        assert f"\n### {name}\n" in text
        assert f"| [{name}](#{name.lower()}) |" in text


def test_every_word_in_capitals_is_known(desk: Desk) -> None:
    for command in commands():
        for word in re.findall(r"\b[A-Z][A-Z_]{2,}\b", " ".join(command.words)):
            assert word in desk.names or word in ("ARGS", "FAILED", "AWS", "SQS"), command


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        ("s3api get-objects --bucket b", "has no get-objects"),
        ("s3api get-object --bucket b --keys k", "has no"),
        ("s3api get-object --bucket b", 'input: "Key"'),
        ("s3 cp a b", "has no cp"),
        ("lambda invoke --function-name f --payload file://event.json", "base64"),
    ],
)
def test_a_command_that_there_is_not_would_be_found(words: str, mistake: str) -> None:
    with pytest.raises(Exception, match=mistake):
        aws_words.parse(words.split())
