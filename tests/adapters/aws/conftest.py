from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import AwsServer
from tests.support.deployment import Deployment, deploy


@pytest.fixture
def deployment(moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    with deploy(moto_server, monkeypatch) as deployment:
        yield deployment
