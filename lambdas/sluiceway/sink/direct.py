"""PutObject and UploadPart with a fraction of botocore's CPU.

Of a 16 KiB file's CPU botocore's building, hooking and parsing of one PutObject was measured to take two thirds, of a
part's request half. So the first of a bucket goes through botocore, which resolves the endpoint; the next ones are the
same request with another key, headers and body, signed by botocore's signer and sent over its connections. A refusal
that another try would not change is raised. Any other answer but a plain 200 is forgotten, and botocore sends that
body as if it had never been tried: it alone knows retries and redirects. A repeated PutObject or part is harmless, and
a conditional one that met itself is told apart by its attempt's name.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.parsers import create_parser

from sluiceway.sink.body import PartBody
from sluiceway.sink.signing import authorization

SIGNATURE = "s3v4"
METHODS = {"PutObject": "put_object", "UploadPart": "upload_part"}
QUERY = {"PartNumber": "partNumber", "UploadId": "uploadId"}
# From here on a refusal before the body is worth a round trip; the same limit as botocore's.
EXPECT_BYTES = 1024**2
# Answers that botocore would not ask for again. Of 400 only botocore knows which are passing, or about the region.
REFUSALS = frozenset({403, 404, 409, 412})
DEFAULT_PORTS = {"http": 80, "https": 443}
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """How a bucket is spoken to, as botocore found out: its URL up to the key, the name in it, who signs for what, and
    whether for the payload too."""

    url: str
    host: str
    user_agent: str
    signer: Any
    signing_name: str
    region: str
    signs_payload: bool


@dataclass(frozen=True, slots=True)
class Put:
    """One request. `arguments` are those of botocore's `operation` that become headers, `asked` those that stand in
    the query."""

    operation: str
    bucket: str
    key: str
    body: memoryview
    arguments: Mapping[str, Any]
    asked: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def path(self) -> str:
        # As botocore writes a key into a path.
        return quote(self.key, safe="/~")

    @property
    def query(self) -> str:
        # In the order of its names, for so it is signed.
        return "&".join(f"{QUERY[name]}={quote(str(self.asked[name]), safe='-_.~')}" for name in sorted(self.asked))

    def by_botocore(self, s3: Any) -> dict[str, Any]:
        named = {"Bucket": self.bucket, "Key": self.key, **self.asked, **self.arguments}
        return dict(getattr(s3, METHODS[self.operation])(Body=PartBody(self.body), **named))


def put_object(
    s3: Any, *, Bucket: str, Key: str, Body: memoryview, on_retry: Callable[[], object], **arguments: Any
) -> dict[str, Any]:
    """As botocore's put_object; raises what it raises. Of the reply only ETag, VersionId and RetryAttempts are sure.
    `on_retry` is called where a try past botocore came to nothing: RetryAttempts are botocore's own."""
    return _puts_of(s3).put(s3, Put("PutObject", Bucket, Key, Body, arguments), on_retry)


def upload_part(
    s3: Any, *, Bucket: str, Key: str, Body: memoryview, UploadId: str, PartNumber: int, on_retry: Callable[[], object],
    **arguments: Any,
) -> dict[str, Any]:  # fmt: skip
    """As botocore's upload_part; see put_object."""
    asked = {"UploadId": UploadId, "PartNumber": PartNumber}
    return _puts_of(s3).put(s3, Put("UploadPart", Bucket, Key, Body, arguments, asked), on_retry)


class DirectPuts:
    """What is known of one S3 client's buckets; for any number of threads. It does not hold the client."""

    def __init__(self, s3: Any) -> None:
        self._places: dict[str, Place] = {}
        self._seen = threading.local()
        members = s3.meta.service_model.operation_model("PutObject").input_shape.members
        self._headers = {
            name: shape.serialization["name"]
            for name, shape in members.items()
            if shape.serialization.get("location") == "header" and shape.type_name == "string"
        }
        for operation in METHODS:
            s3.meta.events.register(f"before-sign.s3.{operation}", self._remember)

    def put(self, s3: Any, put: Put, on_retry: Callable[[], object]) -> dict[str, Any]:
        """Past botocore where the bucket is known, else by it; and by it where that came to nothing."""
        place, headers = self._places.get(put.bucket), self._headers_of(put.arguments)
        if place is not None and headers is not None:
            reply = _try(s3, place, put, headers)
            if reply is not None:
                return reply
            self._places.pop(put.bucket, None)
            on_retry()
        reply = put.by_botocore(s3)
        self._learn(put)
        return reply

    def _learn(self, put: Put) -> None:
        """Remembers how this thread's last PUT by botocore was addressed and signed."""
        place, self._seen.place = getattr(self._seen, "place", None), None
        if place is not None and place.url.endswith(f"/{put.path}"):
            self._places[put.bucket] = replace(place, url=place.url[: -len(put.path)])

    def _remember(
        self, request: Any, signing_name: str, region_name: str, signature_version: str, request_signer: Any, **_: Any
    ) -> None:
        # Other signatures (S3 Express sessions, SigV4A, none) are left to botocore, and clients that leave it to guess.
        signs_payload = request.context["client_config"].s3.get("payload_signing_enabled")
        if signature_version != SIGNATURE or signs_payload is None:
            self._seen.place = None
            return
        agent = request.headers.get("User-Agent", "")
        agent = agent.decode() if isinstance(agent, bytes) else agent
        # The event tells the client's own; a bucket of another region, once found, is signed for with what stands here.
        signing = {"signing_name": signing_name, "region": region_name, **request.context.get("signing", {})}
        url, name, region = request.url.partition("?")[0], signing["signing_name"], signing["region"]
        self._seen.place = Place(url, _host_of(url), agent, request_signer, name, region, signs_payload)

    def _headers_of(self, arguments: Mapping[str, Any]) -> dict[str, str] | None:
        """The headers that botocore's model gives `arguments`; None where it would need botocore."""
        headers: dict[str, str] = {}
        for name, value in arguments.items():
            if name == "Metadata":
                headers |= {f"x-amz-meta-{each}": text for each, text in value.items()}
            elif name in self._headers and isinstance(value, str):
                headers[self._headers[name]] = value
            else:
                return None
        return headers


def _try(s3: Any, place: Place, put: Put, headers: Mapping[str, str]) -> dict[str, Any] | None:
    """The reply to one attempt, or None: then the body is botocore's to send. Raises ClientError for a refusal."""
    try:
        reply = _send(s3, place, put, headers)
    except (BotoCoreError, HTTPClientError) as error:
        _logger.debug("left to botocore: %s", type(error).__name__)
        return None
    if reply.status_code in REFUSALS:
        raise _refusal(s3, put.operation, reply)
    if reply.status_code != 200 or "etag" not in reply.headers:
        return None
    return {"ETag": reply.headers["etag"], "VersionId": reply.headers.get("x-amz-version-id", "")}


def _send(s3: Any, place: Place, put: Put, headers: Mapping[str, str]) -> Any:
    url, query, size = place.url + put.path, put.query, len(put.body)
    # Asked for anew each time: credentials of a role expire and are renewed.
    credentials = place.signer.get_auth_instance(place.signing_name, place.region, SIGNATURE).credentials
    signed = {
        **headers,
        "Host": place.host,
        "X-Amz-Date": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"),
        # One pass of hashlib. awscrt, which signs for botocore, asks for the body in small pieces: twice the CPU.
        "X-Amz-Content-SHA256": hashlib.sha256(put.body).hexdigest() if place.signs_payload else "UNSIGNED-PAYLOAD",
        **({"X-Amz-Security-Token": credentials.token} if credentials.token else {}),
    }
    signature = authorization(
        "PUT",
        urlsplit(url).path,
        signed,
        access_key=credentials.access_key,
        secret_key=credentials.secret_key,
        region=place.region,
        service=place.signing_name,
        query=query,
    )
    is_large = size >= EXPECT_BYTES
    sent: Any = {
        **signed,
        "Authorization": signature,
        "User-Agent": place.user_agent,
        "Content-Length": str(size),
        # botocore's connections wait for the answer to bytes; after the same text they send the body at once.
        **({"Expect": b"100-continue"} if is_large else {}),
    }
    body: Any = PartBody(put.body) if is_large else bytes(put.body)
    request = AWSPreparedRequest("PUT", f"{url}?{query}" if query else url, sent, body, stream_output=False)
    for _, reply in s3.meta.events.emit(f"before-send.s3.{put.operation}", request=request):
        if reply is not None:
            return reply
    # botocore offers no public way to its connections; it is pinned, and the tests tell when this one is gone.
    return s3._endpoint.http_session.send(request)


def _host_of(url: str) -> str:
    """As botocore signs it and http.client would send it: without the port that goes without saying."""
    parts = urlsplit(url)
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return name if parts.port in (None, DEFAULT_PORTS[parts.scheme]) else f"{name}:{parts.port}"


def _refusal(s3: Any, operation: str, reply: Any) -> ClientError:
    """The error that botocore would raise for `reply`."""
    raw = {"status_code": reply.status_code, "headers": reply.headers, "body": reply.content}
    parsed = _parser.parse(raw, s3.meta.service_model.operation_model(operation).output_shape)
    error: ClientError = s3.exceptions.from_code(parsed["Error"]["Code"])(parsed, operation)
    return error


_parser: Any = create_parser("rest-xml")
_known: weakref.WeakKeyDictionary[Any, DirectPuts] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def _puts_of(s3: Any) -> DirectPuts:
    with _lock:
        if s3 not in _known:
            _known[s3] = DirectPuts(s3)
        return _known[s3]
