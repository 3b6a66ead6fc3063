"""One engine a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.claim import Claim, FolderBusyError
from local.s3_api import S3
from tests.local.support import Running
from tests.support.commands import environment, sluiceway

HOLD = """
import sys
from pathlib import Path
from local.s3_api import S3
s3 = S3(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_engine_is_told_whose_folder_it_is(running: Running) -> None:
    with pytest.raises(FolderBusyError, match=f"process {os.getpid()} .* {running.landed}") as caught:
        S3(running.landed)
    assert caught.value.pid == os.getpid()
    running.client.put_object(Bucket="landing", Key="k", Body=b"the first one goes on")


def test_a_folder_is_free_once_its_engine_has_ended(tmp_path: Path) -> None:
    for _ in range(2):
        S3(tmp_path).close()


def test_a_folder_whose_engine_was_killed_is_taken_over_and_swept(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            with pytest.raises(FolderBusyError, match=str(process.pid)):
                S3(tmp_path)
        finally:
            process.kill()
    (left,) = (tmp_path / ".sluiceway").glob("scratch-*")
    s3 = S3(tmp_path)
    assert not left.exists()
    s3.close()


def test_a_run_into_the_folder_of_another_names_it_and_starts_nothing(tmp_path: Path) -> None:
    landed = tmp_path / "landed"
    (tmp_path / "urls.txt").write_text("https://files.example.com/a\n")
    (landed / ".sluiceway").mkdir(parents=True)
    claim = Claim(landed, landed / ".sluiceway/engine.lock")
    try:
        run = sluiceway("run", "urls.txt", "--json", cwd=tmp_path)
        start = sluiceway("engine", "start", cwd=tmp_path)
    finally:
        claim.close()
    for ended in (run, start):
        assert ended.code == 2
        assert f"the engine of process {os.getpid()}" in ended.stderr
        assert "--landed" in ended.stderr
        assert "Traceback" not in ended.stderr
    assert run.json["status"] == "INVALID"
