"""Past botocore, what is signed for whom, by which name a store is called, and how a body goes out."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from urllib3 import HTTPResponse

from sluiceway.sink.direct import EXPECT_BYTES
from sluiceway.sink.signing import authorization
from tests.adapters.sink.direct_store import ARGUMENTS, MIB, Store, calls_of_botocore, client_of, part, put


def test_the_signature_covers_what_s3_demands(store: Store, s3_of: Callable[..., Any]) -> None:
    s3 = s3_of()
    put(s3, "k", **ARGUMENTS)
    put(s3, "k", **ARGUMENTS)
    authorization = store.seen[1].headers["authorization"]
    signed = set(authorization.split("SignedHeaders=")[1].split(",")[0].split(";"))
    assert authorization.startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    sent = {name for name in store.seen[1].headers if name.startswith("x-amz-")}
    assert {"host", "content-type", *sent} <= signed


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
    assert scopes == [["eu-west-1", "s3"]] + [["eu-central-1", "s3"]] * 3


@pytest.mark.parametrize(
    ("endpoint", "addressing", "url", "host"),
    [
        (None, "auto", "https://landing.s3.eu-west-1.amazonaws.com/", "landing.s3.eu-west-1.amazonaws.com"),
        (None, "path", "https://s3.eu-west-1.amazonaws.com/landing/", "s3.eu-west-1.amazonaws.com"),
        ("https://minio:443", "path", "https://minio:443/landing/", "minio"),
        ("http://minio:80", "virtual", "http://landing.minio:80/", "landing.minio"),
        ("https://minio:9000", "virtual", "https://landing.minio:9000/", "landing.minio:9000"),
        ("http://[::1]:9000", "path", "http://[::1]:9000/landing/", "[::1]:9000"),
    ],
)
def test_a_bucket_is_spoken_to_by_the_name_and_port_that_botocore_uses(
    endpoint: str | None, addressing: str, url: str, host: str
) -> None:
    s3, sent = client_of(endpoint, addressing), list[Any]()

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, {"etag": '"1"'}, HTTPResponse(BytesIO(), preload_content=False))

    s3.meta.events.register("before-send.s3", answer)
    put(s3, "a b")
    put(s3, "a b")
    part(s3, 1)
    by_botocore, direct, of_a_part = sent
    assert [each.url.partition("?")[0] for each in sent] == [f"{url}a%20b", f"{url}a%20b", f"{url}a%20b.csv"]
    assert {each.headers["Host"] for each in (direct, of_a_part)} == {host}
    # What botocore signed can be told by signing it again.
    signature = text(by_botocore.headers["Authorization"])
    names = signature.split("SignedHeaders=")[1].split(",")[0].split(";")
    signed = {name: text(by_botocore.headers.get(name, host)) for name in names}
    keys = {"access_key": "AKID", "secret_key": "secret", "region": "eu-west-1"}
    assert signature == authorization("PUT", urlsplit(by_botocore.url).path, signed, **keys)


def text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def test_the_token_of_a_session_goes_along_and_is_signed(store: Store, s3_of: Callable[..., Any]) -> None:
    token = "IQoJb3JpZ2luX2VjE//+=="
    s3 = s3_of(token=token)
    put(s3, "k")
    put(s3, "k")
    part(s3, 1)
    for seen in store.seen:
        assert seen.headers["x-amz-security-token"] == token
        signed = seen.headers["authorization"].split("SignedHeaders=")[1].split(",")[0]
        assert "x-amz-security-token" in signed.split(";")


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
