"""PutObject for small objects at a third of botocore's CPU.

Of a 16 KiB file's CPU botocore's building, hooking and parsing of one PutObject was measured to take two thirds. So
the first object of a bucket goes through botocore, which resolves the endpoint; the next ones are the same request
with another key, headers and body, signed by botocore's signer and sent over its connections. Any answer but a plain
200 is forgotten, and botocore sends that object as if it had never been tried: it alone knows retries, redirects and
errors. A repeated PutObject is harmless, and a conditional one that met itself is told apart by its attempt's name.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import BotoCoreError, HTTPClientError

from sluiceway.sink.body import PartBody
from sluiceway.sink.signing import authorization

SIGNATURE = "s3v4"
# From here on the bytes cost more than the request, and `Expect: 100-continue` is worth its round trip.
SMALL_BYTES = 1024**2
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """How a bucket is spoken to, as botocore found out: its URL up to the key, and who signs for what."""

    url: str
    user_agent: str
    signer: Any
    signing_name: str
    region: str


def put_object(s3: Any, *, Bucket: str, Key: str, Body: memoryview, **arguments: Any) -> dict[str, Any]:
    """As botocore's put_object; raises what it raises. Of a small object's reply only ETag, VersionId and
    RetryAttempts are there."""
    puts = _puts_of(s3)
    place = puts.place_of(Bucket) if len(Body) <= SMALL_BYTES else None
    reply = puts.put(s3, place, Bucket, Key, Body, arguments) if place is not None else None
    if reply is not None:
        return reply
    reply = dict(s3.put_object(Bucket=Bucket, Key=Key, Body=PartBody(Body), **arguments))
    puts.learn(Bucket, Key)
    if place is not None:
        reply["ResponseMetadata"]["RetryAttempts"] = reply["ResponseMetadata"].get("RetryAttempts", 0) + 1
    return reply


class SmallPuts:
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
        s3.meta.events.register("before-sign.s3.PutObject", self._remember)

    def place_of(self, bucket: str) -> Place | None:
        return self._places.get(bucket)

    def put(
        self, s3: Any, place: Place, bucket: str, key: str, body: memoryview, arguments: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """The reply to one attempt, or None: then the object is botocore's to send."""
        headers = self._serialise(arguments)
        if headers is None:
            return None
        try:
            reply = _send(s3, place, key, headers, bytes(body))
        except (BotoCoreError, HTTPClientError) as error:
            _logger.debug("left to botocore: %s", type(error).__name__)
            reply = None
        if reply is None or reply.status_code != 200 or "etag" not in reply.headers:
            self._places.pop(bucket, None)
            return None
        return {"ETag": reply.headers["etag"], "VersionId": reply.headers.get("x-amz-version-id", "")}

    def learn(self, bucket: str, key: str) -> None:
        """Remembers how this thread's last PutObject by botocore, of `key`, was addressed and signed."""
        place, self._seen.place = getattr(self._seen, "place", None), None
        suffix = _quoted(key)
        if place is not None and place.url.endswith(f"/{suffix}"):
            self._places[bucket] = replace(place, url=place.url[: -len(suffix)])

    def _remember(
        self, request: Any, signing_name: str, region_name: str, signature_version: str, request_signer: Any, **_: Any
    ) -> None:
        # Other signatures (S3 Express sessions, SigV4A, none) and signed payloads are left to botocore.
        signs_payload = request.context["client_config"].s3.get("payload_signing_enabled")
        if signature_version != SIGNATURE or signs_payload is not False:
            self._seen.place = None
            return
        agent = request.headers.get("User-Agent", "")
        agent = agent.decode() if isinstance(agent, bytes) else agent
        self._seen.place = Place(request.url, agent, request_signer, signing_name, region_name)

    def _serialise(self, arguments: Mapping[str, Any]) -> dict[str, str] | None:
        """The headers that botocore's model of PutObject gives `arguments`; None where it would need botocore."""
        headers: dict[str, str] = {}
        for name, value in arguments.items():
            if name == "Metadata":
                headers |= {f"x-amz-meta-{each}": text for each, text in value.items()}
            elif name in self._headers and isinstance(value, str):
                headers[self._headers[name]] = value
            else:
                return None
        return headers


def _send(s3: Any, place: Place, key: str, headers: dict[str, str], body: bytes) -> Any:
    url = place.url + _quoted(key)
    # Asked for anew each time: credentials of a role expire and are renewed.
    credentials = place.signer.get_auth_instance(place.signing_name, place.region, SIGNATURE).credentials
    parts = urlsplit(url)
    headers |= {
        "Host": parts.netloc,
        "X-Amz-Date": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"),
        "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD",
        **({"X-Amz-Security-Token": credentials.token} if credentials.token else {}),
    }
    headers["Authorization"] = authorization(
        "PUT",
        parts.path,
        headers,
        access_key=credentials.access_key,
        secret_key=credentials.secret_key,
        region=place.region,
        service=place.signing_name,
    )
    sent: Any = {**headers, "User-Agent": place.user_agent, "Content-Length": str(len(body))}
    request = AWSPreparedRequest("PUT", url, sent, body, stream_output=False)
    for _, reply in s3.meta.events.emit("before-send.s3.PutObject", request=request):
        if reply is not None:
            return reply
    # botocore offers no public way to its connections; it is pinned, and the tests tell when this one is gone.
    return s3._endpoint.http_session.send(request)


_known: weakref.WeakKeyDictionary[Any, SmallPuts] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def _puts_of(s3: Any) -> SmallPuts:
    with _lock:
        if s3 not in _known:
            _known[s3] = SmallPuts(s3)
        return _known[s3]


def _quoted(key: str) -> str:
    # As botocore writes a key into a path.
    return quote(key, safe="/~")
