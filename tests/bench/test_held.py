"""The benchmark's files stay in memory while clients are measured, and no longer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.held import held

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mlock(2) and /proc are Linux's")


def locked_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmLck:"))


def test_files_are_locked_while_the_block_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        file.write_bytes(bytes(256 * 1024))
    before = locked_kib()
    with held(files):
        assert locked_kib() == before + 512 or "not kept in memory" in capsys.readouterr().err
    assert locked_kib() == before


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), held([tmp_path / "none"]):
        raise AssertionError("never reached")
