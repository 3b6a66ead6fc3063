"""An engine that is killed while it makes an object visible: whole or not at all, and told of rightly afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError, HTTPClientError

from local.s3_api import S3
from local.s3_errors import S3Error
from tests.local.support import MIB, client_of
from tests.support.commands import environment

# Serves, and kills itself where sys.argv[2] says, once there is an object of the name in sys.argv[3].
SERVE = """
import os, signal, sys
from pathlib import Path
from local import s3_store
from local.http import Server
from local.s3_api import S3
from local.s3_index import Index

def dies(moment, call):
    def killing(*arguments):
        if moment == sys.argv[2] and (Path(sys.argv[1]) / "landing/ready").exists():
            if moment == "after the rename":
                call(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments)
    return killing

rename, put = s3_store.os.replace, Index.put
s3_store.os.replace = dies("before the rename", dies("after the rename", rename))
Index.put = dies("before the row", put)
s3 = S3(Path(sys.argv[1]))
s3.store.create_bucket("landing")
print(Server(s3).url, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("first", [None, b"the first object"], ids=["new", "over another"])
@pytest.mark.parametrize("moment", ["before the rename", "after the rename", "before the row"])
def test_an_object_is_whole_or_not_there_wherever_the_engine_is_killed(
    tmp_path: Path, moment: str, first: bytes | None
) -> None:
    body = bytes(range(256)) * (5 * MIB // 256) + b"the end"
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, tmp_path, moment], env=environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        client = client_of("s3", server.stdout.readline().strip())
        of = {"Bucket": "landing", "Key": "deep/k"}
        if first is not None:
            client.put_object(**of, Body=first, Metadata={"of": "the first"})
        of["UploadId"] = client.create_multipart_upload(**of)["UploadId"]
        parts = []
        for number, piece in enumerate([body[: 5 * MIB], body[5 * MIB :]], 1):
            parts.append(
                {"PartNumber": number, "ETag": client.upload_part(**of, PartNumber=number, Body=piece)["ETag"]}
            )
        (tmp_path / "landing/ready").touch()
        with pytest.raises((HTTPClientError, EndpointConnectionError)):
            client.complete_multipart_upload(**of, MultipartUpload={"Parts": parts})
        assert server.wait() == -9
        client.close()
    s3 = S3(tmp_path)
    try:
        there = first if moment == "before the rename" else body
        assert _read(s3) == there
        listed = [(each.key, each.size) for each in s3.store.index.list("landing", "deep/", "", "", 10).records]
        assert listed == ([] if there is None else [("deep/k", len(there))])
        if there == first and first is not None:
            assert s3.store.head("landing", "deep/k").headers["x-amz-meta-of"] == "the first"
        # Of the upload nothing is left.
        assert list((tmp_path / ".sluiceway").glob("scratch-*/*")) == []
    finally:
        s3.close()


def _read(s3: S3) -> bytes | None:
    try:
        record, file = s3.store.open("landing", "deep/k")
    except S3Error as error:
        assert error.code == "NoSuchKey"
        return None
    with file:
        body = file.read()
    assert len(body) == record.size
    return body
