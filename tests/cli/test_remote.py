"""submit, rerun, watch, report, cancel and list against an engine that `sluiceway engine start` runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.commands import Ended, command_line, environment, sluiceway
from tests.support.engine_process import EngineProcess, engine_process
from tests.support.source import Body, Reply, SourceServer
from tests.support.waiting import wait_until

BEGUN_SECONDS = 60


@pytest.fixture(scope="module")
def source() -> Iterator[SourceServer]:
    with SourceServer() as server:
        yield server


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, source: SourceServer) -> Iterator[EngineProcess]:
    folder = tmp_path_factory.mktemp("engine")
    with engine_process(folder, "--allow-source", source.host, "--set", "part_mib=5") as running:
        yield running


def asked(engine: EngineProcess, *arguments: str | Path, cwd: Path | None = None) -> Ended:
    return sluiceway(*arguments, "--endpoint-url", engine.endpoint_url, cwd=cwd)


@pytest.fixture(scope="module")
def over(engine: EngineProcess, source: SourceServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a job that has ended COMPLETED_WITH_FAILURES."""
    folder = tmp_path_factory.mktemp("over")
    source.replies |= {"/over/a": Reply(Body(10)), "/over/gone": Reply(b"", 404)}
    (folder / "list.txt").write_text("\n".join([source.url("/over/a"), source.url("/over/gone")]))
    ended = asked(engine, "submit", folder / "list.txt", "--watch", "--json")
    assert ended.code == 1, ended.stderr
    return str(ended.json["job_id"])


def held(source: SourceServer, path: str, size: int) -> tuple[threading.Event, threading.Event]:
    """The source holds `path` back once it was asked for: the events say that it was, and let go of it."""
    begun, release = threading.Event(), threading.Event()

    def answer(_: object) -> Reply:
        begun.set()
        return Reply(Body(size), hold=release)

    source.replies[path] = answer
    return begun, release


def test_a_job_is_submitted_watched_reported_and_listed(
    engine: EngineProcess, source: SourceServer, tmp_path: Path
) -> None:
    source.replies |= {"/a": Reply(Body(1000)), "/b": Reply(Body(2000, seed=1)), "/gone": Reply(b"", 404)}
    (tmp_path / "urls.txt").write_text("\n".join(source.url(path) for path in ("/a", "/b", "/gone")))

    submitted = asked(engine, "submit", "urls.txt", "--job-id", "acme-1", "--json", cwd=tmp_path)
    execution = submitted.json["execution"]
    assert (submitted.code, submitted.json) == (0, {"job_id": "acme-1", "execution": execution}), submitted.stderr
    watched = asked(engine, "watch", "acme-1", "--json")
    assert watched.code == 1, watched.stderr
    told = watched.json
    assert (told["status"], told["bytes"]) == ("COMPLETED_WITH_FAILURES", 3000)
    assert told["files"] == {"stored": 2, "skipped": 0, "rejected": 0, "failed": 1}

    reported = asked(engine, "report", "acme-1", "--download", tmp_path / "out")
    assert reported.code == 1
    for text in ("acme-1: COMPLETED_WITH_FAILURES", "FAILED landing/gone: SourceStatusError", told["outputs"]):
        assert text in reported.stdout
    lines = [json.loads(line) for line in (tmp_path / "out" / "report.jsonl").read_text().splitlines()]
    assert {line["key"]: line["status"] for line in lines} == {"a": "STORED", "b": "STORED", "gone": "FAILED"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.jsonl", "failed.jsonl", "SHA256SUMS", "summary.json",
    }  # fmt: skip

    listed = [json.loads(line) for line in asked(engine, "list", "--json").stdout.splitlines()]
    (mine,) = [each for each in listed if each["job_id"] == "acme-1"]
    assert told["execution"] == mine["execution"] == execution
    assert (mine["files"], mine["files_total"], mine["bytes"]) == ({"stored": 2, "failed": 1}, 3, 3000)
    shown = asked(engine, "list", "--state", "COMPLETED_WITH_FAILURES")
    assert "acme-1" in shown.stdout
    assert "3/3" in shown.stdout
    assert "acme-1" not in asked(engine, "list", "--state", "CANCELLED").stdout


def test_a_job_that_has_ended_runs_again_and_moves_only_what_is_missing(
    engine: EngineProcess, source: SourceServer, tmp_path: Path
) -> None:
    source.replies |= {"/there": Reply(Body(10)), "/late": Reply(b"", 404)}
    (tmp_path / "urls.txt").write_text("\n".join([source.url("/there"), source.url("/late")]))
    first = asked(engine, "submit", "urls.txt", "--job-id", "again", "--watch", "--json", cwd=tmp_path)
    assert (first.code, first.json["files"]["failed"]) == (1, 1), first.stderr

    source.replies["/late"] = Reply(Body(20))
    source.requests.clear()
    second = asked(engine, "rerun", "again", "--watch", "--json")

    assert second.code == 0, second.stderr
    assert second.json["files"] == {"stored": 1, "skipped": 1, "rejected": 0, "failed": 0}
    assert source.paths() == ["/late"]
    failed = asked(engine, "submit", f"{second.json['outputs']}failed.jsonl", "--watch", "--json")
    assert (failed.code, failed.json["files"]["stored"]) == (0, 0), failed.stderr


def test_a_cancelled_job_ends_cancelled_and_leaves_no_upload(
    engine: EngineProcess, source: SourceServer, tmp_path: Path
) -> None:
    begun, release = held(source, "/slow", 24_000_000)
    source.replies["/quick"] = Reply(Body(100))
    (tmp_path / "urls.txt").write_text("\n".join([source.url("/quick"), source.url("/slow")]))
    try:
        submitted = asked(engine, "submit", "urls.txt", "--job-id", "slow", cwd=tmp_path)
        assert (submitted.code, submitted.stdout) == (0, "slow\n"), submitted.stderr
        assert begun.wait(BEGUN_SECONDS)
        running = asked(engine, "report", "slow", "--json")
        assert (running.code, running.json["status"], running.json["outputs"]) == (0, "TRANSFERRING", None)
        early = asked(engine, "report", "slow", "--download", tmp_path / "early", "--json")
        assert (early.code, early.json["error"]["type"]) == (2, "JobIsLiveError"), early.stderr
        assert not (tmp_path / "early").exists()
        (tmp_path / "other.txt").write_text(source.url("/other"))
        for again in (["rerun", "slow"], ["submit", tmp_path / "other.txt", "--job-id", "slow", "--watch"]):
            refused = asked(engine, *again, "--json")
            assert (refused.code, "is live (TRANSFERRING)" in refused.stderr) == (2, True)
            assert (refused.json["job_id"], refused.json["status"]) == ("slow", "INVALID")
            assert refused.json["error"]["type"] == "JobIsLiveError"
        machine = {"stateMachineArn": engine.outputs["StateMachineArn"]}
        executions = engine.client("stepfunctions").list_executions(**machine)["executions"]
        assert len([each for each in executions if each["name"].startswith("slow-")]) == 1

        cancelled = asked(engine, "cancel", "slow", "--wait", "--json")
    finally:
        release.set()

    assert (cancelled.code, cancelled.json) == (0, {"job_id": "slow", "status": "CANCELLED"}), cancelled.stderr
    s3 = engine.client("s3")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="landing")
    assert not (engine.landed / "landing" / "slow").exists()
    assert asked(engine, "report", "slow", "--json").json["files"]["cancelled"] == 1
    assert asked(engine, "cancel", "slow").stdout == "slow: CANCELLED\n"


def test_ctrl_c_ends_the_looking_on_and_not_the_job(
    engine: EngineProcess, source: SourceServer, tmp_path: Path
) -> None:
    begun, release = held(source, "/looked-on", 12_000_000)
    (tmp_path / "urls.txt").write_text(source.url("/looked-on"))
    arguments = ["submit", tmp_path / "urls.txt", "--job-id", "looked-on", "--watch", "--json"]
    command = command_line(*arguments, "--endpoint-url", engine.endpoint_url)
    try:
        with subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert begun.wait(BEGUN_SECONDS)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=BEGUN_SECONDS)
        assert (process.returncode, json.loads(out)["job_id"]) == (130, "looked-on"), err
        assert asked(engine, "report", "looked-on", "--json").json["status"] == "TRANSFERRING"
    finally:
        release.set()
    assert asked(engine, "watch", "looked-on").code == 0


def test_of_two_that_submit_one_id_at_once_one_runs_and_the_other_is_told(
    engine: EngineProcess, source: SourceServer, tmp_path: Path
) -> None:
    _, release = held(source, "/race", 12_000_000)
    (tmp_path / "race.txt").write_text(source.url("/race"))
    arguments = ["submit", tmp_path / "race.txt", "--job-id", "race", "--watch", "--json"]
    command = command_line(*arguments, "--endpoint-url", engine.endpoint_url)
    both = [
        subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        wait_until(lambda: any(each.poll() is not None for each in both))
    finally:
        release.set()
        told = [each.communicate(timeout=BEGUN_SECONDS) for each in both]
    assert sorted(each.returncode for each in both) == [0, 2], told
    for each, (out, _) in zip(both, told, strict=True):
        outcome = json.loads(out)
        if each.returncode == 0:
            assert outcome["status"] == "COMPLETED"
        else:
            assert (outcome["status"], outcome["error"]["type"]) == ("INVALID", "JobIsLiveError")


def test_a_job_that_had_ended_cannot_be_cancelled_and_that_is_said(engine: EngineProcess, over: str) -> None:
    ended = asked(engine, "cancel", over, "--json")
    assert (ended.code, ended.json["status"], ended.json["error"]["type"]) == (
        2, "COMPLETED_WITH_FAILURES", "JobEndedError",
    )  # fmt: skip
    assert f"{over}: it had ended as COMPLETED_WITH_FAILURES before it could be cancelled" in ended.stderr


@pytest.mark.parametrize("command", ["watch", "cancel", "report", "rerun"])
def test_a_job_that_there_is_not_is_told_at_once(engine: EngineProcess, command: str) -> None:
    began = time.monotonic()
    ended = asked(engine, command, "nobody", "--json")
    assert (ended.code, "no job 'nobody'" in ended.stderr) == (2, True)
    assert (ended.json["job_id"], ended.json["status"], ended.json["error"]["type"]) == (
        "nobody", "INVALID", "UnknownJobError",
    )  # fmt: skip
    assert time.monotonic() - began < 10


def test_a_file_in_the_place_of_the_folder_to_download_to_is_said(
    engine: EngineProcess, over: str, tmp_path: Path
) -> None:
    (tmp_path / "urls.txt").write_text("in the way")
    ended = asked(engine, "report", over, "--download", tmp_path / "urls.txt", "--json")
    assert (ended.code, ended.json["error"]["type"], "Traceback" in ended.stderr) == (2, "FolderError", False)
    assert "--download: expected a folder that can be made and written to" in ended.stderr


def test_who_reads_no_further_gets_the_code_of_the_job(engine: EngineProcess, over: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = command_line("report", over, "--endpoint-url", engine.endpoint_url)
    try:
        done = subprocess.run(command, env=environment(), stdout=writing, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("arguments", [["list"], ["submit", "urls.txt"]])
def test_an_engine_that_is_not_there_is_told_as_json_too(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("https://example.org/a")
    ended = sluiceway(*arguments, "--json", "--endpoint-url", "http://127.0.0.1:1", cwd=tmp_path)
    assert (ended.code, ended.json["status"], ended.json["error"]["type"]) == (4, "UNAVAILABLE", "StackError")
    assert "Could not connect" in ended.json["error"]["message"]


@pytest.mark.parametrize(
    ("endpoint", "told"), [("nonsense", "Invalid endpoint: nonsense"), ("http://[::1", "Invalid IPv6 URL")]
)
def test_an_endpoint_of_the_environment_that_is_no_url_is_told(endpoint: str, told: str) -> None:
    ended = sluiceway("list", "--json", env={"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1"})
    assert (ended.code, ended.json["error"]["message"]) == (4, f"AWS cannot be reached: {told}"), ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["list", "--stack", "other"], 4, "Stack with id other does not exist"),
        (["submit", "no-such-file"], 2, "a file that exists"),
        (["list", "--limit", "0"], 2, "expected a whole number of at least 1"),
    ],
)
def test_what_cannot_be_asked_is_said(engine: EngineProcess, arguments: list[str], code: int, told: str) -> None:
    ended = asked(engine, *arguments)
    assert (ended.code, told in ended.stderr) == (code, True), ended.stderr


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"AWS_REGION": "eu-west-1"}, "credentials"),
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, "no Region: pass --region"),
        ({"AWS_PROFILE": "nobody"}, "nobody"),
    ],
    ids=["credentials", "region", "profile"],
)
def test_without_a_way_to_ask_aws_the_exit_code_is_4(variables: dict[str, str], told: str, tmp_path: Path) -> None:
    nowhere = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    ended = sluiceway("list", env={**nowhere, **variables})
    assert (ended.code, told in ended.stderr) == (4, True), ended.stderr


def test_the_environment_that_the_engine_prints_is_enough(engine: EngineProcess) -> None:
    ended = sluiceway("list", "--json", env=engine.environment)
    assert ended.code == 0, ended.stderr


def test_an_engine_ends_by_ctrl_c_cancels_its_jobs_and_leaves_nothing_running(
    tmp_path: Path, source: SourceServer
) -> None:
    begun, release = held(source, "/held", 12_000_000)
    (tmp_path / "urls.txt").write_text(source.url("/held"))
    with engine_process(tmp_path, "--allow-source", source.host) as engine:
        try:
            assert asked(engine, "submit", "urls.txt", "--job-id", "held", cwd=tmp_path).code == 0
            assert begun.wait(BEGUN_SECONDS)
            children = psutil.Process(engine.process.pid).children(recursive=True)
            engine.process.send_signal(signal.SIGINT)
            assert engine.process.wait(BEGUN_SECONDS) == 0
        finally:
            release.set()
    assert not [child for child in children if child.is_running()]
    summary = json.loads((engine.landed / "jobs" / "jobs" / "held" / "summary.json").read_text())
    assert summary["status"] == "CANCELLED"
