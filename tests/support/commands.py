"""Runs the command `sluiceway` as a shell would: a process of its own, an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# Far more than any of these runs takes; a hang then fails the test and not the whole suite.
HANG_SECONDS = 240


@dataclass(frozen=True)
class Ended:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The last line of stdout, as `--json` promises it."""
        return json.loads(self.stdout.splitlines()[-1])


def command_line(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "cli.main", *map(str, arguments)]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without what points at somebody's account, and with the repository importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "PYTHONPATH": f"{ROOT}:{ROOT / 'lambdas'}", "NO_COLOR": "1", **(more or {})}


def sluiceway(*arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Ended:
    done = subprocess.run(
        command_line(*arguments),
        env=environment(env),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
