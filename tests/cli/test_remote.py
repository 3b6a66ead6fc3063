"""submit, rerun, watch, report, cancel and list against an engine that `sluiceway engine start` runs."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.commands import Ended, command_line, environment, sluiceway
from tests.support.engine_process import EngineProcess, engine_process
from tests.support.source import Body, Reply, SourceServer

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


def test_a_job_is_submitted_watched_reported_and_listed(
    engine: EngineProcess, source: SourceServer, tmp_path: Path
) -> None:
    source.replies |= {"/a": Reply(Body(1000)), "/b": Reply(Body(2000, seed=1)), "/gone": Reply(b"", 404)}
    (tmp_path / "urls.txt").write_text("\n".join(source.url(path) for path in ("/a", "/b", "/gone")))

    submitted = asked(engine, "submit", "urls.txt", "--job-id", "acme-1", cwd=tmp_path)
    assert (submitted.code, submitted.stdout) == (0, "acme-1\n"), submitted.stderr
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
    begun, release = threading.Event(), threading.Event()

    def answer(_: object) -> Reply:
        begun.set()
        return Reply(Body(24_000_000), hold=release)

    source.replies |= {"/slow": answer, "/quick": Reply(Body(100))}
    (tmp_path / "urls.txt").write_text("\n".join([source.url("/quick"), source.url("/slow")]))
    try:
        assert asked(engine, "submit", "urls.txt", "--job-id", "slow", cwd=tmp_path).code == 0
        assert begun.wait(BEGUN_SECONDS)
        running = asked(engine, "report", "slow", "--json")
        assert (running.code, running.json["status"]) == (0, "TRANSFERRING")
        refused = asked(engine, "rerun", "slow")
        assert (refused.code, "TRANSFERRING" in refused.stderr) == (2, True)

        cancelled = asked(engine, "cancel", "slow", "--wait", "--json")
    finally:
        release.set()

    assert (cancelled.code, cancelled.json) == (0, {"job_id": "slow", "status": "CANCELLED"}), cancelled.stderr
    s3 = engine.client("s3")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="landing")
    assert not (engine.landed / "landing" / "slow").exists()
    assert asked(engine, "report", "slow", "--json").json["files"]["cancelled"] == 1
    assert asked(engine, "cancel", "slow").stdout == "slow: CANCELLED\n"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["report", "nobody"], 2, "no job 'nobody'"),
        (["rerun", "nobody"], 2, "no job 'nobody'"),
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
    begun, release = threading.Event(), threading.Event()

    def answer(_: object) -> Reply:
        begun.set()
        return Reply(Body(12_000_000), hold=release)

    source.replies["/held"] = answer
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


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--set", "uploaders=0"], "uploaders: expected"), (["--port", "70000"], "from 0 to 65535")],
)
def test_an_engine_with_wrong_arguments_does_not_start(options: list[str], told: str, tmp_path: Path) -> None:
    ended = sluiceway("engine", "start", "--landed", tmp_path / "landed", *options)
    assert (ended.code, told in ended.stderr) == (2, True), ended.stderr
    assert not (tmp_path / "landed").exists()


def test_a_port_that_is_taken_is_said(source: SourceServer, tmp_path: Path) -> None:
    port = source.host.rpartition(":")[2]
    ended = subprocess.run(
        command_line("engine", "start", "--landed", tmp_path / "landed", "--port", port),
        env=environment(), capture_output=True, text=True, timeout=BEGUN_SECONDS,
    )  # fmt: skip
    assert (ended.returncode, "Address already in use" in ended.stderr) == (2, True), ended.stderr
