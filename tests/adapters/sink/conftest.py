"""An S3 (moto in server mode) with an empty bucket for each test, and a client as the product makes it; and a store
that only takes PUTs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sluiceway.aws.session import new_session
from sluiceway.sink.client import s3_client
from tests.adapters.sink.direct_store import Store, client_of, serving
from tests.conftest import AwsServer


@dataclass(frozen=True)
class Bucket:
    name: str
    s3: Any

    def unfinished(self) -> list[str]:
        return [each["Key"] for each in self.s3.list_multipart_uploads(Bucket=self.name).get("Uploads", [])]

    def keys(self) -> list[str]:
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def read(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def head(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = self.s3.head_object(Bucket=self.name, Key=key)
        return found


@pytest.fixture
def bucket(moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in moto_server.env.items():
        monkeypatch.setenv(name, value)
    s3 = s3_client(new_session())
    name = f"bucket-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    yield Bucket(name, s3)
    s3.close()


@pytest.fixture
def store() -> Iterator[Store]:
    with serving() as found:
        yield found


@pytest.fixture
def s3_of(store: Store) -> Callable[..., Any]:
    """Makes clients of `store`; keywords are those of `client_of`."""
    return lambda **more: client_of(f"http://127.0.0.1:{store.port}", "path", **more)
