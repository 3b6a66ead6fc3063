"""How a large file is cut into parts and segments, by its length and the memory of those who move it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import AwsServer
from tests.support.deployment import Deployment, deploy, forget_services
from tests.support.source import Body, Reply, Request, SourceServer

MIB, GIB = 1024**2, 1024**3
TB = 10**12


@pytest.fixture
def deployment(moto_server: AwsServer, monkeypatch: pytest.MonkeyPatch, source: SourceServer) -> Iterator[Deployment]:
    with deploy(moto_server, monkeypatch, allowed_sources=source.host, max_file_bytes=str(10 * TB)) as deployment:
        yield deployment


def processed(deployment: Deployment, source: SourceServer, length: int) -> dict[str, Any]:
    """What ProcessFile answers for a file of `length` bytes, of which the source sends none but the first."""

    def announce(request: Request) -> Reply:
        headers = {"ETag": '"v1"'}
        if "Range" in request.headers:
            return Reply(b"x", 206, headers | {"Content-Range": f"bytes 0-0/{length}"})
        return Reply(Body(1000), headers=headers, length=length)

    source.replies["/huge"] = announce
    execution = deployment.new_execution()
    document = {"job_id": "huge", "source": {"type": "urls", "files": [source.url("/huge")]}, "split": "crc"}
    deployment.start(document, execution)
    owner = {"job_id": "huge", "execution": execution}
    (unit,) = json.loads(deployment.read(deployment.invoke("dispatch_files", owner)["units_key"]))
    return deployment.invoke("process_file", {**owner, "unit": unit})


@pytest.mark.parametrize(
    ("length", "part_mib", "segments"),
    [(5 * GIB, 16, 20), (160 * 10**9, 16, 398), (300 * GIB, 31, 397), (500 * 10**9, 48, 398)],
)
def test_parts_are_small_as_long_as_ten_thousand_of_them_hold_the_file(
    deployment: Deployment, source: SourceServer, length: int, part_mib: int, segments: int
) -> None:
    split = processed(deployment, source, length)["split"]
    assert (split["part_bytes"], split["segments"]) == (part_mib * MIB, segments)


@pytest.mark.parametrize(("setting", "value", "part_mib"), [("FILE_MEMORY_MB", "128", 12), ("PART_MIB", "32", 32)])
def test_parts_are_as_small_as_memory_and_as_large_as_the_setting_says(
    deployment: Deployment,
    source: SourceServer,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    value: str,
    part_mib: int,
) -> None:
    monkeypatch.setenv(f"SLUICEWAY_{setting}", value)
    forget_services()
    assert processed(deployment, source, 5 * GIB)["split"]["part_bytes"] == part_mib * MIB
