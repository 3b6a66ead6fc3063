from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from sluiceway.exports import blocks, manifest
from sluiceway.steps import completing, dispatching
from sluiceway.steps import manifest as manifest_step
from sluiceway.telemetry import logger
from tests.adapters.handlers.late_units import Clock
from tests.adapters.handlers.redrives import Executions
from tests.conftest import AwsServer
from tests.support.deployment import Deployment, deploy
from tests.support.source import SourceServer


@pytest.fixture
def settings() -> dict[str, str]:
    """Of the functions, besides where files may come from: a module that needs some has a fixture of this name."""
    return {}


@pytest.fixture
def deployment(
    moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, source: SourceServer, settings: dict[str, str]
) -> Iterator[Deployment]:
    with deploy(moto_server, monkeypatch, allowed_sources=source.host, **settings) as deployment:
        yield deployment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def executions(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Executions:
    """In the place of Step Functions, to all functions."""
    executions = Executions()
    for services in (deployment.services, deployment.movers):
        monkeypatch.setattr(services, "executions", executions, raising=False)
    return executions


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the functions log, as Lambda would see it."""
    stream = io.StringIO()
    for handler in logger.handlers:
        monkeypatch.setattr(handler, "stream", stream)
    return stream


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a list of a dozen files has as many cuts as one of a million."""
    monkeypatch.setattr(blocks, "BLOCK_ENTRIES", 3)
    monkeypatch.setattr(manifest, "BUFFER_BYTES", 200)
    monkeypatch.setattr(manifest_step, "BLOCK_FILES", 2)
    monkeypatch.setattr(completing, "BLOCK_FILES", 2)
    monkeypatch.setattr(dispatching, "BLOCK_FILES", 2)
