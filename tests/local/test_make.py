"""What the targets of the Makefile do to a clone."""

from __future__ import annotations

import subprocess
from pathlib import Path

MAKEFILE = Path(__file__).parents[2] / "Makefile"


def test_clean_removes_what_targets_made_and_no_files_that_a_run_has_landed(tmp_path: Path) -> None:
    for name in ("landed/landing", "landed-demo/demo-landing", ".venv/bin", "cdk.out"):
        (tmp_path / name).mkdir(parents=True)
    subprocess.run(["make", "-f", MAKEFILE, "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == ["landed"]
