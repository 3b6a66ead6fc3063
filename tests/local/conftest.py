from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.http import Server
from local.s3_api import S3
from tests.local.support import Running, client_of


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    landed = tmp_path / "landed"
    s3 = S3(landed)
    server = Server(s3)
    client = client_of("s3", server.url)
    client.create_bucket(Bucket="landing")
    try:
        yield Running(client, server.url, landed, s3)
    finally:
        client.close()
        server.close()
        s3.close()
