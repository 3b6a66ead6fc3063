"""`sluiceway copy`, as a process, from a loopback source into an S3 server."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import threading
import time
import zlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from awscrt import checksums

from tests.conftest import AwsServer
from tests.faults.harness import s3_of
from tests.faults.store import Store
from tests.support.commands import Ended, command_line, environment, sluiceway
from tests.support.source import Body, Reply, Request, SourceServer

MIB = 1024**2
BUCKET = "landing"
SMALL = Body(5000, seed=1)
LARGE = Body(12 * MIB + 7, seed=2)


@pytest.fixture
def aws(moto_server: AwsServer) -> Iterator[AwsServer]:
    moto_server.s3.create_bucket(Bucket=BUCKET)
    yield moto_server
    for upload in moto_server.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        moto_server.s3.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    for key in moto_server.keys(BUCKET):
        moto_server.s3.delete_object(Bucket=BUCKET, Key=key)
    moto_server.s3.delete_bucket(Bucket=BUCKET)


def copy(aws: AwsServer, source: SourceServer, path: str, *options: str, bucket: str = BUCKET) -> Ended:
    allow = ["--allow-source", source.host]
    return sluiceway("copy", source.url(path), f"s3://{bucket}/in{path}", "--json", *allow, *options, env=aws.env)


@pytest.mark.parametrize(
    ("body", "options", "parts"),
    [
        (Body(0), [], 1),
        (SMALL, [], 1),
        (LARGE, ["--part-mib", "5"], 3),
        (LARGE, ["--part-mib", "5", "--part-checksum", "none", "--uploaders", "1"], 3),
    ],
    ids=["empty", "one part", "three parts", "three parts, no checksum"],
)
def test_the_object_is_the_source_byte_for_byte(
    aws: AwsServer, source: SourceServer, body: Body, options: list[str], parts: int
) -> None:
    source.replies["/a.bin"] = Reply(body)
    ended = copy(aws, source, "/a.bin", *options)
    assert ended.code == 0, ended.stderr
    assert ended.json.pop("seconds") >= 0
    assert {**ended.json, "seconds": 0} == {
        "status": "STORED",
        "bytes": body.size,
        "sha256": body.digest(),
        "parts": parts,
        "seconds": 0,
        "error": None,
    }
    assert aws.s3.get_object(Bucket=BUCKET, Key="in/a.bin")["Body"].read() == body.read()
    assert aws.unfinished_uploads(BUCKET) == []


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ("crc32", "ChecksumCRC32", zlib.crc32(LARGE.read()).to_bytes(4, "big")),
        ("crc64nvme", "ChecksumCRC64NVME", checksums.crc64nvme(LARGE.read()).to_bytes(8, "big")),
    ],
)
def test_s3_keeps_the_checksum_that_was_chosen_of_the_whole_object(
    source: SourceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, field: str, value: bytes
) -> None:
    """In the engine's own store, which compares every part and the whole with what is declared."""
    source.replies["/a.bin"] = Reply(LARGE)
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    with Store(tmp_path / "landed") as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.url)
        aws = AwsServer({**keys, "AWS_ENDPOINT_URL_S3": store.url}, s3_of(store))
        ended = copy(aws, source, "/a.bin", "--part-mib", "5", "--part-checksum", option)
        assert (ended.code, ended.json["parts"]) == (0, 3), ended.stderr
        head = aws.s3.head_object(Bucket=BUCKET, Key="in/a.bin", ChecksumMode="ENABLED")
        aws.s3.close()
    assert {name: head[name] for name in head if name.startswith("Checksum")} == {
        field: b64encode(value).decode(),
        "ChecksumType": "FULL_OBJECT",
    }


def test_right_digests_and_size_are_accepted_and_told(aws: AwsServer, source: SourceServer) -> None:
    source.replies["/a.bin"] = Reply(SMALL)
    options = ["--sha256", SMALL.digest(), "--md5", SMALL.digest("md5").upper(), "--size", "5000"]
    ended = copy(aws, source, "/a.bin", *options)
    assert (ended.code, ended.json["status"], ended.json["md5"]) == (0, "STORED", SMALL.digest("md5"))


@pytest.mark.parametrize(
    ("reply", "options", "status", "error"),
    [
        (Reply(LARGE), ["--sha256", "0" * 64], "REJECTED", "DigestMismatchError"),
        (Reply(SMALL), ["--md5", "0" * 32], "REJECTED", "DigestMismatchError"),
        (Reply(LARGE), ["--size", "17"], "REJECTED", "LengthMismatchError"),
        (Reply(LARGE), ["--max-bytes", "1000000"], "REJECTED", "TooLargeError"),
        (Reply(b"sorry", 404), [], "FAILED", "SourceStatusError"),
        (Reply(b"", 204), [], "FAILED", "SourceStatusError"),
        (Reply(LARGE, cut_after=7 * MIB), [], "FAILED", "SourceRestartError"),
    ],
    ids=["sha256", "md5", "size", "max-bytes", "404", "204", "cut short"],
)
def test_a_bad_file_leaves_no_object_and_no_upload(
    aws: AwsServer, source: SourceServer, reply: Reply, options: list[str], status: str, error: str
) -> None:
    source.replies["/a.bin"] = reply
    ended = copy(aws, source, "/a.bin", "--part-mib", "5", *options)
    assert (ended.code, ended.json["status"], ended.json["error"]["type"]) == (1, status, error)
    assert aws.keys(BUCKET) == []
    assert aws.unfinished_uploads(BUCKET) == []


def test_a_private_host_is_refused_unless_allowed(aws: AwsServer, source: SourceServer) -> None:
    source.replies["/a.bin"] = Reply(SMALL)
    ended = sluiceway("copy", source.url("/a.bin?sig=secret"), f"s3://{BUCKET}/a", env=aws.env)
    assert ended.code == 1
    assert ended.stdout == ""
    assert "REJECTED" in ended.stderr
    assert f"--allow-source {source.host}" in ended.stderr
    assert "secret" not in ended.stderr
    assert source.requests == []


def test_a_bucket_that_does_not_exist_fails_the_file(aws: AwsServer, source: SourceServer) -> None:
    source.replies["/a.bin"] = Reply(SMALL)
    ended = copy(aws, source, "/a.bin", bucket="nowhere")
    assert (ended.code, ended.json["error"]["type"]) == (1, "SinkDeniedError")


def test_never_keeps_what_is_there(aws: AwsServer, source: SourceServer) -> None:
    source.replies["/a.bin"] = Reply(SMALL)
    aws.s3.put_object(Bucket=BUCKET, Key="in/a.bin", Body=b"before")
    ended = copy(aws, source, "/a.bin", "--if-exists", "never")
    assert (ended.code, ended.json["status"], ended.json["error"]) == (0, "SKIPPED", None)
    assert aws.s3.get_object(Bucket=BUCKET, Key="in/a.bin")["Body"].read() == b"before"


@pytest.mark.parametrize(("etag", "status"), [('"v1"', "SKIPPED"), ('"v2"', "STORED")])
def test_skip_unchanged_moves_only_what_changed(aws: AwsServer, source: SourceServer, etag: str, status: str) -> None:
    def answer(request: Request) -> Reply:
        same = request.headers.get("If-None-Match") == now[0]
        return Reply(status=304) if same else Reply(SMALL, headers={"ETag": now[0]})

    now = ['"v1"']
    source.replies["/a.bin"] = answer
    assert copy(aws, source, "/a.bin", "--if-exists", "skip-unchanged").json["status"] == "STORED"
    now[0] = etag
    ended = copy(aws, source, "/a.bin", "--if-exists", "skip-unchanged")
    assert (ended.code, ended.json["status"]) == (0, status)


def test_a_person_is_told_the_outcome_in_a_line(aws: AwsServer, source: SourceServer) -> None:
    source.replies["/a.bin"] = Reply(SMALL)
    ended = sluiceway("copy", source.url("/a.bin"), f"s3://{BUCKET}/a", "--allow-source", source.host, env=aws.env)
    assert ended.code == 0
    assert ended.stdout.startswith(f"STORED s3://{BUCKET}/a: 5000 bytes, 1 part(s)")
    assert hashlib.sha256(SMALL.read()).hexdigest() in ended.stdout


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_copy_leaves_no_upload(aws: AwsServer, source: SourceServer, how: signal.Signals) -> None:
    """The source holds the body back once the first block is out, so that the signal strikes mid-transfer."""
    reached, release = threading.Event(), threading.Event()

    def answer(_: object) -> Reply:
        reached.set()
        return Reply(LARGE, hold=release)

    source.replies["/a.bin"] = answer
    target = f"s3://{BUCKET}/a"
    arguments = command_line("copy", source.url("/a.bin"), target, "--allow-source", source.host, "--json")
    with subprocess.Popen(
        arguments, env=environment(aws.env), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert reached.wait(30)
            process.send_signal(how)
            out, _ = process.communicate(timeout=30)
        finally:
            release.set()
            process.kill()
    assert process.returncode == 130
    told = json.loads(out)
    assert (told["status"], told["error"]["type"]) == ("CANCELLED", "Interrupted")
    assert aws.keys(BUCKET) == []
    assert aws.unfinished_uploads(BUCKET) == []


def test_a_copy_loads_nothing_of_the_engine() -> None:
    """What `copy` imports before and during a transfer, in a process of its own."""
    program = (
        "import sys, cli.main, cli.copy, cli.view, sluiceway.landing.land, sluiceway.sink.client;"
        "foreign = ('moto', 'aws_cdk', 'sluiceway.spec', 'cli.jobs', 'local', 'infra', 'boto3');"
        "print([m for m in foreign if m in sys.modules])"
    )
    import sys

    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("profile", "told"), [({}, "set AWS_ACCESS_KEY_ID"), ({"AWS_PROFILE": "nobody"}, "nobody")], ids=["none", "profile"]
)
def test_without_credentials_the_source_is_not_asked(
    source: SourceServer, tmp_path: Path, profile: dict[str, str], told: str
) -> None:
    env = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", **profile}
    target = f"s3://{BUCKET}/a"
    ended = sluiceway("copy", source.url("/a"), target, "--allow-source", source.host, "--json", env=env)
    assert ended.code == 4, ended.stderr
    assert ended.json["error"]["type"] == "AwsUnavailableError"
    assert told in ended.json["error"]["message"]
    assert source.requests == []


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [("http://127.0.0.1:1", "Could not connect to the endpoint URL"), ("nonsense", "Invalid endpoint: nonsense")],
)
def test_an_s3_that_never_answers_is_no_fault_of_the_file(
    source: SourceServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    endpoint: str,
    told: str,
) -> None:
    from cli import copy as command

    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None, time=time.time))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    source.replies["/a.bin"] = Reply(SMALL)
    request = command.parse(
        source.url("/a.bin"), f"s3://{BUCKET}/a", digests={}, size=None, max_bytes=None, part_mib=None, uploaders=1,
        if_exists="overwrite", part_checksum="none", allow_source=[source.host], ca_bundle=None,
    )  # fmt: skip

    assert command.copy(request, as_json=True) == 4

    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "AwsUnavailableError"
    assert error["message"].startswith(f"AWS cannot be reached: {told}")
