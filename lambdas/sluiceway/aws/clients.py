"""The botocore clients, each made once a process and only when first asked for.

Knows how long a call may take and that botocore owns the retries of AWS calls. Uses botocore and not boto3: the
start of a function pays for every import. Endpoints, Region and credentials come from the environment.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.config import Config

from sluiceway.aws.session import new_session
from sluiceway.sink.client import s3_client

CONNECT_SECONDS = 5
READ_SECONDS = 20
# A function is given a minute at most by those who wait for it: its own end comes first.
INVOKE_READ_SECONDS = 70
# A call is tried this often, the first included; "standard" backs off with jitter between.
ATTEMPTS = 6
# Uploaders send parts at once, on top of the calls that open and close an upload.
S3_CONNECTIONS = 16


@cache
def s3() -> Any:
    """As the transfer needs it; what to set and why stands in sink/client.py."""
    return s3_client(_session(), connections=S3_CONNECTIONS)


@cache
def dynamodb() -> Any:
    return _client("dynamodb")


@cache
def events() -> Any:
    return _client("events")


@cache
def secretsmanager() -> Any:
    return _client("secretsmanager")


@cache
def stepfunctions() -> Any:
    return _client("stepfunctions")


@cache
def functions() -> Any:
    return _client("lambda", INVOKE_READ_SECONDS)


@cache
def _session() -> Any:
    return new_session()


def _client(service: str, read_seconds: int = READ_SECONDS) -> Any:
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    return _session().create_client(service, config=config)
