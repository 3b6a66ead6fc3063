"""What was measured on and with: the machine, and the versions of everything that took part."""

from __future__ import annotations

import json
import os
import platform
import ssl
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.build import nginx, node, rclone
from bench.paths import AIOBOTO3_VENV, NODE, VENV


def machine() -> str:
    cpu = next((line.split(":")[1].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")), "?")
    flags = next((line for line in _read("/proc/cpuinfo") if line.startswith("flags")), "")
    sha = "with" if "sha_ni" in flags else "without"
    versions = {
        "Python": platform.python_version(),
        "OpenSSL": ssl.OPENSSL_VERSION.split()[1],
        "nginx": _said(str(nginx()), "-v").split("/")[-1],
        "Node": _said(str(node()), "--version"),
        **_packages(VENV, ("boto3", "obstore", "smart_open", "urllib3")),
        **_packages(AIOBOTO3_VENV, ("aioboto3",)),
        **_node_packages(),
        "rclone": _said(rclone(), "version").rpartition(" ")[2],
    }
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {cpu} ({sha} SHA instructions), "
        f"Linux {platform.release()}, {platform.machine()}. "
        + ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        + f". Load average at the end: {os.getloadavg()[1]:.1f}."
    )


def _read(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return next(iter((done.stdout or done.stderr).strip().splitlines()), "")


def _packages(venv: Path, names: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in names:
        folder = next(venv.glob(f"lib/python*/site-packages/{name}-*.dist-info"), None)
        if folder is not None:
            found[name] = folder.name.removesuffix(".dist-info").split("-")[1]
    return found


def _node_packages() -> dict[str, str]:
    found = {}
    for name in ("undici", "@aws-sdk/lib-storage"):
        file = NODE / "node_modules" / name / "package.json"
        if file.exists():
            found[name] = str(json.loads(file.read_text())["version"])
    return found
