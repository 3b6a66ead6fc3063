from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from sluiceway.telemetry import logger
from tests.conftest import AwsServer
from tests.support.deployment import Deployment, deploy
from tests.support.source import SourceServer


@pytest.fixture
def deployment(moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, source: SourceServer) -> Iterator[Deployment]:
    with deploy(moto_server, monkeypatch, allowed_sources=source.host) as deployment:
        yield deployment


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the functions log, as Lambda would see it."""
    stream = io.StringIO()
    for handler in logger.handlers:
        monkeypatch.setattr(handler, "stream", stream)
    return stream
