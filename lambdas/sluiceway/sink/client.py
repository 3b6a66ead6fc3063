"""The S3 client as the transfer needs it.

Knows botocore's configuration and why each value. botocore alone retries S3 calls; nothing above it does.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config

from sluiceway.tls import with_tls_sockets

MAX_ATTEMPTS = 5
# urllib3 holds the sending to it as well: a slice of a part (sink/body.py) must be out by then, which asks 17 KB/s of
# each connection. 10 s would ask 105, and many an uplink has no more for all of them together.
CONNECT_TIMEOUT_SECONDS = 60
# S3 answers Complete of many parts late, while it keeps the connection alive with spaces.
READ_TIMEOUT_SECONDS = 60
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def s3_client(
    session: Any,
    *,
    connections: int = 10,
    ca_bundle: str | None = None,
    max_attempts: int = MAX_ATTEMPTS,
    connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
    read_timeout_seconds: float = READ_TIMEOUT_SECONDS,
) -> Any:
    """A client of the botocore `session`, for up to `connections` threads. A call is tried
    `max_attempts` times, the first included. `connect_timeout_seconds` is for connecting and for each slice sent."""
    endpoint = endpoint_of(session)
    config = Config(
        signature_version="s3v4",
        connect_timeout=connect_timeout_seconds,
        read_timeout=read_timeout_seconds,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": max_attempts},
        s3={
            "payload_signing_enabled": signs_payload(endpoint),
            # Of S3's look-alikes few have a name for each bucket, and none on localhost.
            "addressing_style": "path" if endpoint else "auto",
        },
        # The transfer sends its own checksum of each part; botocore's would read every byte once more.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        tcp_keepalive=True,
    )
    client = session.create_client("s3", config=config, verify=ca_bundle)
    # botocore offers no public way to its connections; it is pinned, and the tests tell when this one is gone.
    with_tls_sockets(client._endpoint.http_session._manager.connection_pool_kw["ssl_context"])
    return client


def endpoint_of(session: Any) -> str:
    """The endpoint of S3 that botocore will take from the environment or the profile, "" where it is AWS's own.
    botocore itself tells it only of a client that is made. Source: AWS SDKs and Tools Reference Guide,
    "Service-specific endpoints"."""
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return ""
    profile = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    stated = (
        os.environ.get("AWS_ENDPOINT_URL_S3"),
        os.environ.get("AWS_ENDPOINT_URL"),
        services.get("s3", {}).get("endpoint_url"),
        profile.get("endpoint_url"),
    )
    return next((each for each in stated if each), "")


def signs_payload(endpoint: str) -> bool:
    """Whether the signature covers the body. TLS and the part checksum already protect it, and to sign it is to hash
    it a second time; only plain http over a network leaves it open to change on the way."""
    parts = urlsplit(endpoint)
    return parts.scheme == "http" and (parts.hostname or "") not in LOOPBACK
