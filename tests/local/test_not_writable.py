"""Folders that cannot be written: by their mode, which binds root as well once a capability is gone; and by the errors
that a file system would give.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import s3_store
from tests.local.support import MIB, Running
from tests.support.commands import HANG_SECONDS, command_line, environment
from tests.support.source import Body, Reply, Request, SourceServer

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1  # linux/prctl.h, linux/capability.h
LIBC = ctypes.CDLL(None)
EXPECTED = "expected a folder whose every part can be made and written to"


def bound_by_modes() -> None:
    """What is executed next has to respect modes, as anybody but root has to anyway."""
    LIBC.prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command_line(*arguments), cwd=folder, env=environment(), capture_output=True, text=True,
        timeout=HANG_SECONDS, check=False, preexec_fn=bound_by_modes,
    )  # fmt: skip


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """The folder of a bucket in which nothing can be made."""
    folder = tmp_path / "landed/landing"
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


@pytest.mark.parametrize("arguments", [("run", "files.jsonl"), ("engine", "start")])
def test_a_bucket_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, closed: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "files.jsonl").write_text('{"url": "https://files.example.com/a"}')
    done = command(tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-2:] == [
        "Error: --landed is not valid; nothing was started.",
        f"  --landed: {EXPECTED}, found {closed} (Permission denied)",
    ]
    assert "Traceback" not in done.stderr


def test_so_is_another_bucket_that_a_job_names(tmp_path: Path, closed: Path) -> None:
    other = closed.rename(closed.with_name("other"))
    (tmp_path / "files.jsonl").write_text('{"url": "https://files.example.com/a", "bucket": "other"}')
    done = command(tmp_path, "run", "files.jsonl")
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"  --landed: {EXPECTED}, found {other} (Permission denied)")
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_closed_later_fails_the_file_without_another_try(tmp_path: Path, source: SourceServer) -> None:
    folder = tmp_path / "landed/landing"

    def close(_request: Request) -> Reply:
        folder.chmod(0o555)
        return Reply(Body(1000))

    source.replies["/a"] = close
    (tmp_path / "urls.txt").write_text(source.url("/a"))
    done = command(tmp_path, "run", "urls.txt", "--allow-source", source.host)
    folder.chmod(0o755)
    assert done.returncode == 3, done.stderr
    told = f"AccessDenied: permission denied: {folder}"
    assert f"FAILED landing/a: SinkDeniedError: put_object s3://landing/a: {told}\n" in done.stdout
    assert "Traceback" not in done.stderr
    assert len(source.requests) == 1
    assert list(folder.iterdir()) == []


@contextlib.contextmanager
def renames_fail(number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def replace(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number), str(source), None, str(target))

    with monkeypatch.context() as patch:
        patch.setattr(s3_store.os, "replace", replace)
        yield


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize("in_parts", [False, True])
def test_an_object_that_cannot_be_made_is_denied_and_leaves_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int, in_parts: bool
) -> None:
    of: dict[str, Any] = {"Bucket": "landing", "Key": "acme/k"}
    if in_parts:
        of["UploadId"] = running.client.create_multipart_upload(**of)["UploadId"]
        etag = running.client.upload_part(**of, PartNumber=1, Body=bytes(MIB))["ETag"]
    with renames_fail(number, monkeypatch), pytest.raises(ClientError) as caught:
        if in_parts:
            parts = [{"PartNumber": 1, "ETag": etag}]
            running.client.complete_multipart_upload(**of, MultipartUpload={"Parts": parts})
        else:
            running.client.put_object(**of, Body=b"1")
    reply = caught.value.response
    assert (reply["Error"]["Code"], reply["ResponseMetadata"]["HTTPStatusCode"]) == ("AccessDenied", 403)
    assert reply["Error"]["Message"] == f"{os.strerror(number).lower()}: {running.landed / 'landing/acme'}"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    if in_parts:
        running.client.abort_multipart_upload(**of)
    assert "Contents" not in running.client.list_objects_v2(Bucket="landing")
    assert list(running.s3.store.scratch.iterdir()) == []


def test_a_file_that_cannot_be_read_is_named_itself(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    running.client.put_object(Bucket="landing", Key="k", Body=b"1")

    def refuse(path: Path, _mode: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(s3_store, "open", refuse, raising=False)
    with pytest.raises(ClientError) as caught:
        running.client.get_object(Bucket="landing", Key="k")
    assert caught.value.response["Error"]["Message"] == f"permission denied: {running.landed / 'landing/k'}"


def test_an_index_that_cannot_be_written_makes_no_object(running: Running) -> None:
    database = running.s3.store.index._db
    database.execute("PRAGMA query_only=1")
    with pytest.raises(ClientError, match="AccessDenied") as caught:
        running.client.put_object(Bucket="landing", Key="k", Body=b"1")
    assert caught.value.response["Error"]["Message"].startswith(f"permission denied: {running.landed / '.sluiceway'}")
    database.execute("PRAGMA query_only=0")
    assert list((running.landed / "landing").iterdir()) == []
