"""`sluiceway run`, as a process: the engine, the job and what is told of it."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import psutil
import pytest

from tests.support.commands import command_line, environment, sluiceway
from tests.support.source import Body, Reply, SourceServer

BEGUN_SECONDS = 60


@pytest.mark.parametrize(
    ("job", "options", "told"),
    [
        (
            {"source": {"type": "urls", "files": [{"url": "ftp://x/y"}]}, "limits": {"max_concurency": 5}},
            [],
            ["source.files[0].url: expected a URL like https://host/path", "limits.max_concurency"],
        ),
        (
            {"source": {"type": "urls", "files": ["https://a.example/k", "https://b.example/k"]}},
            [],
            ["https://a.example/k", "https://b.example/k"],
        ),
        ({"source": {"type": "urls", "files": []}}, ["--set", "uploaders=0"], ["--set", "uploaders: expected", "'0'"]),
        ({"source": {"type": "urls", "files": []}}, ["--set", "uploader=2"], ["uploader: no such setting"]),
        ({"source": {"type": "urls", "files": []}}, ["--set", "uploaders"], ["expected NAME=VALUE"]),
    ],
    ids=["fields", "duplicate targets", "value of a setting", "name of a setting", "not an assignment"],
)
def test_what_is_invalid_is_named_and_nothing_starts(
    tmp_path: Path, job: object, options: list[str], told: list[str]
) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job))
    ended = sluiceway("run", path, "--landed", tmp_path / "landed", "--json", *options)
    assert ended.code == 2
    for text in told:
        assert text in ended.stderr
    assert (ended.json["status"], ended.json["job_id"]) == ("INVALID", None)
    assert not (tmp_path / "landed").exists()


def test_what_an_export_api_says_of_its_progress_is_shown(tmp_path: Path, source: SourceServer) -> None:
    polls = iter([{"state": "RUNNING", "done": "40 %"}] * 2)
    done = {"state": "DONE", "files": [source.url("/a")]}
    source.replies |= {
        "/exports": Reply(b"{}"),
        "/exports/1": lambda _: Reply(json.dumps(next(polls, done)).encode()),
        "/a": Reply(b"abc"),
    }
    mapping = {"running": ["RUNNING"], "completed": ["DONE"]}
    poll = {"url": source.url("/exports/1"), "status": "state", "status_mapping": mapping, "progress": "done",
            "interval_seconds": 1}  # fmt: skip
    described = {"type": "http", "start": {"url": source.url("/exports")}, "poll": poll, "files": {"list": "files"}}
    (tmp_path / "job.json").write_text(json.dumps({"source": described}))
    ended = sluiceway("run", "job.json", "--allow-source", source.host, "--json", cwd=tmp_path)
    assert (ended.code, ended.json["files"]["stored"]) == (0, 1), ended.stderr
    assert "EXPORTING awaiting the export: 40 %" in ended.stderr


def test_a_list_lands_and_the_last_line_is_the_outcome(tmp_path: Path, source: SourceServer) -> None:
    bodies = {f"/in/{n}.bin": Body(n * 1000, seed=n) for n in range(5)}
    source.replies |= {path: Reply(body) for path, body in bodies.items()} | {"/in/gone.bin": Reply(b"", 404)}
    (tmp_path / "urls.txt").write_text("\n".join(source.url(path) for path in source.replies))
    ended = sluiceway("run", "urls.txt", "--allow-source", source.host, "--json", cwd=tmp_path)
    assert ended.code == 1, ended.stderr
    assert len(ended.stdout.splitlines()) == 1
    told = ended.json
    assert told["files"] == {"stored": 5, "skipped": 0, "rejected": 0, "failed": 1}
    assert (told["status"], told["bytes"]) == ("COMPLETED_WITH_FAILURES", 10_000)
    assert told["job_id"].startswith("urls-")
    assert told["seconds"] > 0

    report = [json.loads(line) for line in (tmp_path / told["outputs"] / "report.jsonl").read_text().splitlines()]
    assert {line["key"]: line["status"] for line in report}["in/gone.bin"] == "FAILED"
    for line in report:
        landed = tmp_path / "landed" / line["bucket"] / line["key"]
        assert landed.exists() == (line["status"] == "STORED")
        if landed.exists():
            digest = hashlib.sha256(landed.read_bytes()).hexdigest()
            assert digest == line["sha256"] == bodies[f"/{line['key']}"].digest()


def test_a_job_lands_in_the_buckets_it_names_and_a_person_is_told(tmp_path: Path, source: SourceServer) -> None:
    source.replies |= {"/a": Reply(Body(10)), "/b": Reply(Body(20))}
    files = [source.url("/a"), {"url": source.url("/b"), "bucket": "other"}, "http://files.internal:81/c"]
    job = {
        "job_id": "mine",
        "source": {"type": "urls", "files": files},
        "destination": {"bucket": "landing", "prefix": "p/"},
    }
    (tmp_path / "job.yaml").write_text(json.dumps(job))  # JSON is YAML
    landed = tmp_path / "elsewhere"
    ended = sluiceway("run", tmp_path / "job.yaml", "--landed", landed, "--allow-source", source.host)
    assert ended.code == 1, ended.stderr
    assert (landed / "landing/p/a").read_bytes() == Body(10).read()
    assert (landed / "other/p/b").read_bytes() == Body(20).read()
    assert "mine: COMPLETED_WITH_FAILURES" in ended.stdout
    assert "(if you trust that host: --allow-source files.internal:81)\n" in ended.stderr
    assert "mine TRANSFERRING" in ended.stderr


def test_what_failed_is_run_again_as_it_is(tmp_path: Path, source: SourceServer) -> None:
    source.replies["/late"] = Reply(b"", 404)
    (tmp_path / "list.jsonl").write_text(json.dumps({"url": source.url("/late"), "split": "crc"}))
    failed = sluiceway("run", "list.jsonl", "--allow-source", source.host, "--json", cwd=tmp_path)
    assert (failed.code, failed.json["files"]["failed"]) == (3, 1), failed.stderr

    source.replies["/late"] = Reply(Body(20))
    again = [Path(failed.json["outputs"]) / "failed.jsonl", "--allow-source", source.host, "--json"]
    ended = sluiceway("run", *again, cwd=tmp_path)
    assert (ended.code, ended.json["files"]["stored"]) == (0, 1), ended.stderr


def test_secrets_may_come_through_a_pipe_and_behind_a_byte_order_mark(tmp_path: Path, source: SourceServer) -> None:
    source.replies["/guarded"] = lambda request: Reply(Body(20) if request.headers.get("X-Key") == "planted" else b"")
    entry = {"url": source.url("/guarded"), "headers_secret": "sluiceway/acme", "size": 20}
    (tmp_path / "list.jsonl").write_text(json.dumps(entry))
    pipe, secrets = tmp_path / "secrets", {"sluiceway/acme": {"X-Key": "planted"}}
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[codecs.BOM_UTF8 + json.dumps(secrets).encode()])
    writer.start()

    options = ["--allow-source", source.host, "--secrets", pipe, "--json"]
    ended = sluiceway("run", "list.jsonl", *options, cwd=tmp_path)
    writer.join()
    assert (ended.code, ended.json["files"]["stored"]) == (0, 1), ended.stderr
    assert "planted" not in ended.stdout + ended.stderr


def test_an_empty_list_is_no_failure_and_is_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("\n")
    ended = sluiceway("run", "urls.txt", cwd=tmp_path)
    assert ended.code == 0, ended.stderr
    assert "the source listed no files; nothing was moved" in ended.stderr


def test_an_export_that_fails_is_a_failed_job(tmp_path: Path, source: SourceServer) -> None:
    source.replies["/exports"] = Reply(b"no such export", 404)
    start = {"url": source.url("/exports"), "json": {}}
    job = {"source": {"type": "http", "start": start, "files": {"list": "files"}}}
    (tmp_path / "job.json").write_text(json.dumps(job))
    ended = sluiceway("run", "job.json", "--allow-source", source.host, "--json", cwd=tmp_path)
    assert (ended.code, ended.json["status"], ended.json["error"]["type"]) == (3, "FAILED", "ExportError")


def test_ctrl_c_cancels_the_job_and_leaves_nothing_running(tmp_path: Path, source: SourceServer) -> None:
    begun, release = threading.Event(), threading.Event()

    def answer(_: object) -> Reply:
        begun.set()
        return Reply(Body(12_000_000), hold=release)

    source.replies["/slow"] = answer
    (tmp_path / "urls.txt").write_text(source.url("/slow"))
    arguments = command_line("run", "urls.txt", "--allow-source", source.host, "--json")
    with subprocess.Popen(
        arguments, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert begun.wait(BEGUN_SECONDS)
            children = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=BEGUN_SECONDS)
        finally:
            release.set()
            process.kill()
    assert process.returncode == 130, err
    told = json.loads(out.splitlines()[-1])
    assert (told["status"], told["files"]["stored"]) == ("CANCELLED", 0)
    assert not [child for child in children if child.is_running()]
    assert not list((tmp_path / "landed").glob("*/slow"))
