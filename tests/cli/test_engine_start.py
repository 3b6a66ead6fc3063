"""An engine that cannot start says why and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import sluiceway
from tests.support.source import SourceServer


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--set", "uploaders=0"], "uploaders: expected"), (["--port", "70000"], "from 0 to 65535")],
)
def test_an_engine_with_wrong_arguments_does_not_start(options: list[str], told: str, tmp_path: Path) -> None:
    ended = sluiceway("engine", "start", "--landed", tmp_path / "landed", *options)
    assert (ended.code, told in ended.stderr) == (2, True), ended.stderr
    assert not (tmp_path / "landed").exists()


def test_a_port_that_is_taken_is_said(source: SourceServer, tmp_path: Path) -> None:
    port = source.host.rpartition(":")[2]
    ended = sluiceway("engine", "start", "--landed", tmp_path / "landed", "--port", port, "--json")
    assert (ended.code, f"port {port}: Address already in use" in ended.stderr) == (2, True), ended.stderr
    assert ended.json["error"]["type"] == "EngineNotStartedError"
    assert not (tmp_path / "landed").exists()
