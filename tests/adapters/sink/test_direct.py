"""Objects and parts past botocore: the same request on the wire, and botocore again whenever anything is odd."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sluiceway.sink.direct import EXPECT_BYTES, put_object, upload_part

MIB = 1024**2
ARGUMENTS: dict[str, Any] = {
    "ContentType": "text/csv",
    "ContentEncoding": "gzip",
    "StorageClass": "STANDARD_IA",
    "ServerSideEncryption": "aws:kms",
    "SSEKMSKeyId": "key-1",
    "Tagging": "team=data&empty=",
    "IfNoneMatch": "*",
    "ChecksumCRC64NVME": "rosUhgp5mIg=",
    "Metadata": {"source-url": "https://example.org/a%20b", "job-id": "acme"},
}
# What botocore alone adds, or what changes with every request (its User-Agent tells which features are in use).
OWN = {"user-agent", "amz-sdk-invocation-id", "amz-sdk-request", "authorization", "expect", "x-amz-date"}


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Store:
    """Answers every PUT with the next of `statuses` (0 cuts the connection), then with 200. All answers carry
    `headers`; each MiB of a body is read only after `pause` seconds."""

    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0
    seen: list[Seen] = field(default_factory=list)
    port: int = 0


@pytest.fixture
def store() -> Iterator[Store]:
    found, never = Store(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            length, body = int(self.headers["content-length"]), b""
            while len(body) < length:
                never.wait(found.pause)
                body += self.rfile.read(min(MIB, length - len(body)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.seen.append(Seen(self.command, self.path, headers, body))
            status = found.statuses.pop(0) if found.statuses else 200
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("ETag", f'"etag-{len(found.seen)}"')
            self.send_header("x-amz-version-id", "v1")
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def s3_of(store: Store) -> Callable[..., Any]:
    def make(*, signs_payload: bool = False, addressing: str = "path", **config: Any) -> Any:
        session = botocore.session.Session()
        session.set_credentials("AKID", "secret")
        return session.create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{store.port}",
            config=Config(
                signature_version="s3v4",
                retries={"mode": "standard", "total_max_attempts": 3},
                s3={"payload_signing_enabled": signs_payload, "addressing_style": addressing},
                request_checksum_calculation="when_required",
                **config,
            ),
        )

    return make


def calls_of_botocore(s3: Any) -> list[str]:
    calls: list[str] = []
    for operation in ("PutObject", "UploadPart"):
        s3.meta.events.register(f"before-call.s3.{operation}", lambda params, **_: calls.append(params["url_path"]))
    return calls


def put(s3: Any, key: str, body: bytes = b"some bytes", **arguments: Any) -> dict[str, Any]:
    return put_object(s3, Bucket="landing", Key=key, Body=memoryview(body), **{"on_retry": list, **arguments})


def part(s3: Any, number: int, body: bytes = b"a part", upload_id: str = "u-1", **arguments: Any) -> dict[str, Any]:
    view = memoryview(body)
    return upload_part(
        s3,
        Bucket="landing",
        Key="a b.csv",
        Body=view,
        UploadId=upload_id,
        PartNumber=number,
        **{"on_retry": list, **arguments},
    )


def test_after_the_first_object_of_a_bucket_botocore_is_not_called(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    calls = calls_of_botocore(s3)
    replies = [put(s3, f"k{n}") for n in range(4)]
    assert len(store.seen) == 4
    assert calls == ["/k0"]
    assert [reply["ETag"] for reply in replies] == ['"etag-1"', '"etag-2"', '"etag-3"', '"etag-4"']
    assert replies[1]["VersionId"] == replies[0]["VersionId"] == "v1"


@pytest.mark.parametrize("key", ["a.csv", "a/b/c", "a b+c%20ü~!*'()=&?#@,;:$.csv", "Ünïcode/日本", "a//b", "..a/.b"])
@pytest.mark.parametrize("arguments", [{}, ARGUMENTS], ids=["plain", "with everything"])
def test_the_request_is_the_one_botocore_would_send(
    store: Store, s3_of: Callable[..., Any], key: str, arguments: dict[str, Any]
) -> None:
    s3 = s3_of()
    put(s3, key, **arguments)
    put(s3, key, **arguments)
    by_botocore, direct = store.seen
    assert (direct.method, direct.path, direct.body) == ("PUT", by_botocore.path, b"some bytes")
    for seen in store.seen:
        seen.headers = {name: value for name, value in seen.headers.items() if name not in OWN}
    assert direct.headers == by_botocore.headers
    assert direct.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


@pytest.mark.parametrize("upload_id", ["plain-_.~1", "a+b/c=", "ü &?#"])
@pytest.mark.parametrize("size", [1, EXPECT_BYTES - 1, EXPECT_BYTES, 3 * EXPECT_BYTES + 1])
def test_a_parts_request_is_the_one_botocore_would_send(
    store: Store, s3_of: Callable[..., Any], upload_id: str, size: int
) -> None:
    s3 = s3_of()
    calls = calls_of_botocore(s3)
    for _ in range(2):
        reply = part(s3, 7, bytes(range(256)) * (size // 256) + bytes(size % 256), upload_id, ChecksumCRC64NVME="rosU=")
    assert calls == ["/a%20b.csv"]
    by_botocore, direct = store.seen
    assert (direct.body, len(direct.body)) == (by_botocore.body, size)
    asked = [urlsplit(seen.path) for seen in store.seen]
    assert asked[0].path == asked[1].path == "/landing/a%20b.csv"
    assert parse_qs(asked[0].query) == parse_qs(asked[1].query) == {"partNumber": ["7"], "uploadId": [upload_id]}
    assert ("expect" in direct.headers) == (size >= EXPECT_BYTES)
    for seen in store.seen:
        seen.headers = {name: value for name, value in seen.headers.items() if name not in OWN}
    assert direct.headers == by_botocore.headers
    assert reply["ETag"] == '"etag-2"'


def test_a_part_and_an_object_teach_each_other(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    calls = calls_of_botocore(s3)
    part(s3, 1)
    put(s3, "k")
    part(s3, 2)
    assert calls == ["/a%20b.csv"]
    assert [urlsplit(seen.path).path for seen in store.seen] == [
        "/landing/a%20b.csv",
        "/landing/k",
        "/landing/a%20b.csv",
    ]


@pytest.mark.parametrize("status", [0, 400, 500, 503])
def test_a_part_refused_once_is_sent_whole_by_botocore(store: Store, s3_of: Callable[..., Any], status: int) -> None:
    s3 = s3_of()
    body = bytes(range(256)) * 8192
    part(s3, 1)
    calls = calls_of_botocore(s3)
    store.statuses = [status]
    retries: list[int] = []
    reply = part(s3, 2, body, on_retry=lambda: retries.append(1))
    assert calls == ["/a%20b.csv"]
    assert store.seen[-1].body == body
    assert reply["ETag"] == '"etag-3"'
    assert retries == [1]
    assert reply["ResponseMetadata"]["RetryAttempts"] == 0


def test_the_signature_covers_what_s3_demands(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    put(s3, "k", **ARGUMENTS)
    put(s3, "k", **ARGUMENTS)
    authorization = store.seen[1].headers["authorization"]
    signed = set(authorization.split("SignedHeaders=")[1].split(",")[0].split(";"))
    assert authorization.startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    sent = {name for name in store.seen[1].headers if name.startswith("x-amz-")}
    assert {"host", "content-type", *sent} <= signed


@pytest.mark.parametrize("status", [0, 301, 400, 500, 503])
def test_any_other_answer_leaves_the_object_to_botocore(store: Store, s3_of: Callable[..., Any], status: int) -> None:
    s3 = s3_of()
    put(s3, "first")
    calls = calls_of_botocore(s3)
    store.statuses = [status]
    retries: list[int] = []
    reply = put(s3, "second", ContentType="text/csv", on_retry=lambda: retries.append(1))
    assert calls == ["/second"]
    assert [seen.path for seen in store.seen] == ["/landing/first", "/landing/second", "/landing/second"]
    assert reply["ETag"] == '"etag-3"'
    assert retries == [1]
    assert reply["ResponseMetadata"]["RetryAttempts"] == 0
    put(s3, "third")
    assert calls == ["/second"]


@pytest.mark.parametrize("status", [403, 404, 409, 412])
def test_a_refusal_raises_botocores_error_without_another_try(
    store: Store, s3_of: Callable[..., Any], status: int
) -> None:
    s3 = s3_of()
    put(s3, "first")
    errors: list[ClientError] = []
    for send in (lambda: put(s3, "k", IfNoneMatch="*"), lambda: part(s3, 2, bytes(EXPECT_BYTES)),
                 lambda: s3.put_object(Bucket="landing", Key="k", Body=b"")):  # fmt: skip
        store.statuses, before = [status], len(store.seen)
        with pytest.raises(ClientError) as raised:
            send()
        assert len(store.seen) == before + 1
        errors.append(raised.value)
    assert {error.response["ResponseMetadata"]["HTTPStatusCode"] for error in errors} == {status}
    assert {error.response["Error"]["Code"] for error in errors} == {str(status)}
    assert [error.operation_name for error in errors] == ["PutObject", "UploadPart", "PutObject"]
    assert str(errors[0]) == str(errors[2])


@pytest.mark.parametrize(
    ("body", "arguments"),
    [(b"x", {"ContentLength": 1}), (b"x", {"BucketKeyEnabled": True})],
    ids=["a number", "a truth value"],
)
def test_what_needs_botocore_goes_through_it(
    store: Store, s3_of: Callable[..., Any], body: bytes, arguments: dict[str, Any]
) -> None:
    s3 = s3_of()
    calls = calls_of_botocore(s3)
    for key in ("first", "second"):
        put(s3, key, body, **arguments)
    assert calls == ["/first", "/second"]
    assert store.seen[1].body == body


def test_a_signed_payload_is_left_to_botocore(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of(signs_payload=True)
    calls = calls_of_botocore(s3)
    put(s3, "first")
    put(s3, "second")
    assert calls == ["/first", "/second"]


def test_each_bucket_is_learnt_apart(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    calls = calls_of_botocore(s3)
    for bucket in ("one", "two", "one", "two"):
        put_object(s3, Bucket=bucket, Key="k", Body=memoryview(b"x"), on_retry=list)
    assert calls == ["/k", "/k"]
    assert [seen.path for seen in store.seen] == ["/one/k", "/two/k", "/one/k", "/two/k"]


def test_credentials_that_were_renewed_sign_the_next_request(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    put(s3, "first")
    s3._request_signer._credentials.access_key = "RENEWED"
    put(s3, "second")
    assert "Credential=RENEWED/" in store.seen[1].headers["authorization"]


def test_a_bucket_of_another_region_is_signed_for_its_own_region(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    calls = calls_of_botocore(s3)
    store.statuses, store.headers = [301], {"x-amz-bucket-region": "eu-central-1"}
    put(s3, "first")
    put(s3, "second")
    part(s3, 1)
    assert calls == ["/first"]
    scopes = [seen.headers["authorization"].split("/")[2:4] for seen in store.seen]
    assert scopes == [["us-east-1", "s3"]] + [["eu-central-1", "s3"]] * 3


def test_many_threads_share_one_client(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    threads = [threading.Thread(target=put, args=(s3, f"k{n}", bytes([n]) * 100)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(seen.path, seen.body) for seen in store.seen} == {(f"/landing/k{n}", bytes([n]) * 100) for n in range(8)}


def test_a_slow_store_has_the_timeout_for_each_slice_not_for_the_part(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of(connect_timeout=1)
    part(s3, 1)
    # Far more than the sockets' buffers hold, in far more than the timeout.
    store.pause, body = 0.2, bytes(16 * MIB)
    retries, began = list[int](), time.monotonic()
    part(s3, 2, body, on_retry=lambda: retries.append(1))
    assert time.monotonic() - began > 3
    assert (retries, store.seen[-1].body) == ([], body)


def test_a_refusal_before_the_body_keeps_it_from_being_sent(s3_of: Callable[..., Any], store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        store.port = listener.getsockname()[1]
        s3, came = s3_of(), list[bytes]()

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as stream:
                read_head(stream)
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                stream.read(EXPECT_BYTES)
                connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 0\r\n\r\n')
                read_head(stream)
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                came.append(stream.read())

        thread = threading.Thread(target=refuse)
        thread.start()
        part(s3, 1, bytes(EXPECT_BYTES))
        with pytest.raises(ClientError):
            part(s3, 2, bytes(EXPECT_BYTES))
        s3.close()
        thread.join()
    assert came == [b""]


def read_head(stream: BinaryIO) -> None:
    while stream.readline() != b"\r\n":
        pass
