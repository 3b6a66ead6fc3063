"""A store that only takes PUTs, and clients of botocore's that speak to it past botocore."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.session
from botocore.config import Config

from sluiceway.sink.direct import put_object, upload_part

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


@contextmanager
def serving() -> Iterator[Store]:
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


def client_of(
    endpoint: str | None, addressing: str, *, signs_payload: bool = False, token: str | None = None, **config: Any
) -> Any:
    session = botocore.session.Session()
    session.set_credentials("AKID", "secret", token)
    return session.create_client(
        "s3",
        region_name="eu-west-1",
        endpoint_url=endpoint,
        config=Config(
            signature_version="s3v4",
            retries={"mode": "standard", "total_max_attempts": 3},
            s3={"payload_signing_enabled": signs_payload, "addressing_style": addressing},
            request_checksum_calculation="when_required",
            **config,
        ),
    )


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
