"""Small objects past botocore: the same request on the wire, and botocore again whenever anything is odd."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sluiceway.sink.small import SMALL_BYTES, put_object

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
    """Answers every PUT with the next of `statuses` (0 cuts the connection), then with 200."""

    statuses: list[int] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    port: int = 0


@pytest.fixture
def store() -> Iterator[Store]:
    found = Store()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.seen.append(Seen(self.command, self.path, headers, body))
            status = found.statuses.pop(0) if found.statuses else 200
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("ETag", f'"etag-{len(found.seen)}"')
            self.send_header("x-amz-version-id", "v1")
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
    def make(*, signs_payload: bool = False, addressing: str = "path") -> Any:
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
            ),
        )

    return make


def calls_of_botocore(s3: Any) -> list[str]:
    calls: list[str] = []
    s3.meta.events.register("before-call.s3.PutObject", lambda params, **_: calls.append(params["url_path"]))
    return calls


def put(s3: Any, key: str, body: bytes = b"some bytes", **arguments: Any) -> dict[str, Any]:
    return put_object(s3, Bucket="landing", Key=key, Body=memoryview(body), **arguments)


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


def test_the_signature_covers_what_s3_demands(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    put(s3, "k", **ARGUMENTS)
    put(s3, "k", **ARGUMENTS)
    authorization = store.seen[1].headers["authorization"]
    signed = set(authorization.split("SignedHeaders=")[1].split(",")[0].split(";"))
    assert authorization.startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    sent = {name for name in store.seen[1].headers if name.startswith("x-amz-")}
    assert {"host", "content-type", *sent} <= signed


@pytest.mark.parametrize("status", [0, 301, 400, 403, 500, 503])
def test_any_other_answer_leaves_the_object_to_botocore(store: Store, s3_of: Callable[..., Any], status: int) -> None:
    s3 = s3_of()
    put(s3, "first")
    calls = calls_of_botocore(s3)
    store.statuses = [status]
    reply = put(s3, "second", ContentType="text/csv")
    assert calls == ["/second"]
    assert [seen.path for seen in store.seen] == ["/landing/first", "/landing/second", "/landing/second"]
    assert reply["ETag"] == '"etag-3"'
    assert reply["ResponseMetadata"]["RetryAttempts"] == 1
    put(s3, "third")
    assert calls == ["/second"]


def test_a_condition_that_fails_raises_botocores_error(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    put(s3, "first")
    store.statuses = [412, 412]
    with pytest.raises(ClientError) as raised:
        put(s3, "second", IfNoneMatch="*")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412


@pytest.mark.parametrize(
    ("body", "arguments"),
    [(bytes(SMALL_BYTES + 1), {}), (b"x", {"ContentLength": 1}), (b"x", {"BucketKeyEnabled": True})],
    ids=["a large body", "a number", "a truth value"],
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
        put_object(s3, Bucket=bucket, Key="k", Body=memoryview(b"x"))
    assert calls == ["/k", "/k"]
    assert [seen.path for seen in store.seen] == ["/one/k", "/two/k", "/one/k", "/two/k"]


def test_credentials_that_were_renewed_sign_the_next_request(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    put(s3, "first")
    s3._request_signer._credentials.access_key = "RENEWED"
    put(s3, "second")
    assert "Credential=RENEWED/" in store.seen[1].headers["authorization"]


def test_many_threads_share_one_client(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    threads = [threading.Thread(target=put, args=(s3, f"k{n}", bytes([n]) * 100)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(seen.path, seen.body) for seen in store.seen} == {(f"/landing/k{n}", bytes([n]) * 100) for n in range(8)}
