"""Writes lambdas/requirements.lock from lambdas/requirements.txt: `python -m infra.lock`.

Knows how pip resolves for Lambda's platform. Refuses to know which bundle takes which package.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from infra.bundling import LAMBDAS, LOCK, PLATFORM, package_name

HEADING = """\
# The closure of requirements.txt for Lambda (arm64, Python 3.13), with the digests of the archives.
# Written by `python -m infra.lock`; bundles are built from this file alone.
"""


def resolve(requirements: Path) -> list[dict[str, Any]]:
    """pip's installation report for Lambda's platform: nothing is installed. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"),
                *("--ignore-installed", *PLATFORM, "--only-binary=:all:", "--target", folder),
                *("--report", str(report), "--requirement", str(requirements)),
            ],
            check=True,
        )
        packages: list[dict[str, Any]] = json.loads(report.read_text())["install"]
        return packages


def line(package: dict[str, Any]) -> str:
    """One requirement: name, version and the digest of the archive pip chose."""
    name, version = package["metadata"]["name"], package["metadata"]["version"]
    digest = package["download_info"]["archive_info"]["hashes"]["sha256"]
    return f"{package_name(name)}=={version} --hash=sha256:{digest}"


if __name__ == "__main__":
    LOCK.write_text(HEADING + "\n".join(sorted(map(line, resolve(LAMBDAS / "requirements.txt")))) + "\n")
    print(f"wrote {LOCK}")
