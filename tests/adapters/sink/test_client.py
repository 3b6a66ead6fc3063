"""What the client puts on the wire for a part: which of it the signature covers, and one checksum, in a header."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from awscrt import checksums

from local.http import Request, Response, Server
from local.s3_api import S3
from sluiceway.aws.session import new_session
from sluiceway.sink.body import SLICE_BYTES
from sluiceway.sink.client import s3_client, signs_payload
from sluiceway.sink.storage import ObjectWriter
from sluiceway.sink.upload import Target, Upload

BUCKET = "landing"
PART = bytes(range(256)) * 20_480


@dataclass
class Recorder:
    """The embedded engine's store, and the headers of every PUT that came to it."""

    s3: S3
    puts: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        if request.method == "PUT":
            self.puts.append(request.headers)
        return self.s3(request)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    s3 = S3(tmp_path / "landed")
    s3.store.create_bucket(BUCKET)
    yield Recorder(s3)
    s3.close()


@pytest.fixture
def endpoint(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = Server(recorder)
    for name, value in {
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield
    server.close()


@pytest.fixture
def s3(endpoint: None) -> Iterator[Any]:
    client = s3_client(new_session())
    yield client
    client.close()


@pytest.fixture
def remote(endpoint: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client that takes loopback for a network, as http://minio:9000 is reached over one."""
    monkeypatch.setattr("sluiceway.sink.client.LOOPBACK", frozenset())
    client = s3_client(new_session())
    yield client
    client.close()


def crc64nvme(body: bytes) -> str:
    return base64.b64encode(checksums.crc64nvme(body).to_bytes(8, "big")).decode()


@pytest.mark.parametrize(
    ("endpoint", "signs"),
    [
        ("", False),
        ("https://s3.example.org", False),
        ("https://minio:9000", False),
        ("http://127.0.0.1:9000", False),
        ("http://[::1]:9000", False),
        ("http://localhost:9000", False),
        ("http://LOCALHOST", False),
        ("http://minio:9000", True),
        ("http://10.0.0.7:9000", True),
        ("http://localhost.example.org", True),
    ],
)
def test_the_body_is_signed_where_nothing_else_keeps_it_from_change(endpoint: str, signs: bool) -> None:
    assert signs_payload(endpoint) is signs


PROFILE = "[default]\nregion = eu-west-1\n"
IN_PROFILE = PROFILE + "endpoint_url = http://minio:9000\n"
IN_SERVICES = IN_PROFILE + "services = own\n[services own]\ns3 =\n  endpoint_url = http://rgw:80\n"


@pytest.mark.parametrize(
    ("profile", "environment", "endpoint", "signs"),
    [
        (PROFILE, {}, "https://s3.eu-west-1.amazonaws.com", False),
        (IN_PROFILE, {}, "http://minio:9000", True),
        (IN_SERVICES, {}, "http://rgw:80", True),
        (IN_SERVICES, {"AWS_ENDPOINT_URL": "https://s3.test"}, "https://s3.test", False),
        (PROFILE, {"AWS_ENDPOINT_URL": "https://s3.test", "AWS_ENDPOINT_URL_S3": "http://minio:9000"},
         "http://minio:9000", True),
        (IN_PROFILE, {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "https://s3.eu-west-1.amazonaws.com", False),
    ],
)  # fmt: skip
def test_the_client_is_made_for_the_endpoint_that_botocore_takes(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    profile: str,
    environment: dict[str, str],
    endpoint: str,
    signs: bool,
) -> None:
    (tmp_path / "config").write_text(profile)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = s3_client(new_session())
    config = client.meta.config.s3
    assert (client.meta.endpoint_url, config["payload_signing_enabled"]) == (endpoint, signs)
    assert config["addressing_style"] == ("auto" if endpoint.endswith("amazonaws.com") else "path")
    client.close()


def test_a_part_goes_out_unsigned_and_whole_with_one_checksum_in_a_header(s3: Any, recorder: Recorder) -> None:
    checksum = crc64nvme(PART)
    with Upload(s3, Target(BUCKET, "a")) as upload:
        upload.put_part(1, memoryview(PART), checksum)
        upload.complete(len(PART), checksum)

    (sent,) = recorder.puts
    assert sent["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    # An x-amz-checksum-* and x-amz-sdk-checksum-algorithm beside it would each be one.
    assert {name for name in sent if "checksum" in name} == {"x-amz-checksum-crc64nvme"}
    assert sent["x-amz-checksum-crc64nvme"] == checksum
    assert "content-md5" not in sent
    # botocore's own checksum would come after the body, and the body in signed chunks.
    assert not {"x-amz-trailer", "trailer", "content-encoding", "transfer-encoding"} & sent.keys()
    assert "x-amz-decoded-content-length" not in sent
    assert sent["content-length"] == str(len(PART))
    assert s3.get_object(Bucket=BUCKET, Key="a")["Body"].read() == PART


@pytest.mark.parametrize("size", [1, 4096, 4097, len(PART), len(PART) + 5])
def test_a_part_over_plain_http_to_another_machine_is_signed_and_arrives_whole(
    remote: Any, recorder: Recorder, size: int
) -> None:
    body = (PART + b"other")[:size]
    with Upload(remote, Target(BUCKET, "a")) as upload:
        upload.put_part(1, memoryview(body), crc64nvme(body))
        upload.complete(size, crc64nvme(body))

    (sent,) = recorder.puts
    assert sent["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
    assert remote.get_object(Bucket=BUCKET, Key="a")["Body"].read() == body


def test_a_document_in_parts_over_plain_http_to_another_machine_arrives_whole(remote: Any, recorder: Recorder) -> None:
    with ObjectWriter(remote, BUCKET, "a", part_bytes=len(PART)) as writer:
        writer.write(PART + b"and the rest")

    assert [each["x-amz-content-sha256"] for each in recorder.puts] == [
        hashlib.sha256(body).hexdigest() for body in (PART, b"and the rest")
    ]
    assert remote.get_object(Bucket=BUCKET, Key="a")["Body"].read() == PART + b"and the rest"


def test_a_connection_of_20_kilobytes_a_second_is_enough(s3: Any) -> None:
    assert SLICE_BYTES / s3.meta.config.connect_timeout < 20_000
