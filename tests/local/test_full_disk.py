"""A disk that takes no more, by a limit on the size of files: the same errors, without a file system to fill."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.local.support import MIB, Running
from tests.support.commands import HANG_SECONDS, command_line, environment
from tests.support.source import Body, Reply, SourceServer

LIMIT = 2 * MIB


@contextmanager
def limited() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_object_that_does_not_fit_is_refused_for_good_and_leaves_nothing(running: Running) -> None:
    with limited(), pytest.raises(ClientError) as caught:
        running.client.put_object(Bucket="landing", Key="k", Body=bytes(LIMIT + 1))
    reply = caught.value.response
    assert (reply["Error"]["Code"], reply["ResponseMetadata"]["HTTPStatusCode"]) == ("InsufficientStorage", 507)
    assert reply["Error"]["Message"] == f"file too large: {running.landed}"
    assert "Contents" not in running.client.list_objects_v2(Bucket="landing")
    assert [path.name for path in running.s3.store.scratch.iterdir()] == []


def test_a_part_that_does_not_fit_is_refused_and_the_upload_can_be_aborted(running: Running) -> None:
    of = {"Bucket": "landing", "Key": "k"}
    of["UploadId"] = running.client.create_multipart_upload(**of)["UploadId"]
    with limited(), pytest.raises(ClientError, match="InsufficientStorage"):
        running.client.upload_part(**of, PartNumber=1, Body=bytes(5 * MIB))
    running.client.abort_multipart_upload(**of)
    assert list(running.s3.store.scratch.glob("upload-*")) == []


def test_an_object_whose_row_finds_no_space_is_not_visible(running: Running) -> None:
    running.client.put_object(Bucket="landing", Key="before", Body=b"1")
    database = running.s3.store.index._db
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(ClientError, match="no space left on device"):
        for n in range(10):
            running.client.put_object(Bucket="landing", Key=f"k{n}", Body=b"1", Metadata={"long": "x" * 1900})
    seen = {each["Key"] for each in running.client.list_objects_v2(Bucket="landing").get("Contents", [])}
    assert {path.name for path in (running.landed / "landing").iterdir()} == seen != set()
    database.execute("PRAGMA max_page_count=1000000")
    running.client.put_object(Bucket="landing", Key="l", Body=b"3")


def test_a_run_says_what_is_full_and_lands_what_fits(tmp_path: Path, source: SourceServer) -> None:
    source.replies |= {"/large": Reply(Body(3 * LIMIT)), "/small": Reply(Body(1000))}
    (tmp_path / "urls.txt").write_text("\n".join(source.url(path) for path in source.replies))
    done = subprocess.run(
        command_line("run", "urls.txt", "--allow-source", source.host),
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=HANG_SECONDS, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT)),
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    full = f"InsufficientStorage: file too large: {tmp_path / 'landed'}"
    assert f"FAILED landing/large: SinkDeniedError: put_object s3://landing/large: {full}\n" in done.stdout
    assert "Traceback" not in done.stderr
    assert (tmp_path / "landed/landing/small").stat().st_size == 1000
    assert not (tmp_path / "landed/landing/large").exists()
