"""Writes docs/licences.md from what is pinned and installed: `python -m infra.licences`.

Knows the lists of pins and where a package states its licence. Refuses to judge licences: a test does.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

from infra.bundling import LOCK

ROOT = Path(__file__).resolve().parent.parent
DOC = ROOT / "docs" / "licences.md"
HEADING = """\
# Licences

Of everything that is pinned, as the packages state them. Written by `make audit`.
"""
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)")
_OSI = "License :: OSI Approved :: "


@dataclass(frozen=True, slots=True)
class Package:
    name: str
    version: str
    licence: str


def runtime() -> list[Package]:
    """What is bundled into functions."""
    return _pinned(LOCK)


def development() -> list[Package]:
    """What contributors and the command need besides."""
    bundled = {package.name for package in runtime()}
    return [package for package in _pinned(ROOT / "requirements.txt") if package.name not in bundled]


def node_tools() -> list[Package]:
    """What `npm ci` installs for synthesis and deployment."""
    locked: dict[str, dict[str, Any]] = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    found = [
        Package(path.rpartition("node_modules/")[2], each["version"], str(each.get("license", "not stated")))
        for path, each in locked.items()
        if path
    ]
    return sorted(set(found), key=lambda package: (package.name, package.version))


def licence_of(stated: Any) -> str:
    """From a distribution's metadata, an email.message.Message: the SPDX expression (PEP 639) where there is one, else
    the classifiers, else the first line of free text."""
    if expression := stated.get("License-Expression"):
        return str(expression)
    classifiers = [each.removeprefix(_OSI) for each in stated.get_all("Classifier") or () if each.startswith(_OSI)]
    if classifiers:
        return ", ".join(sorted(classifiers))
    return str(stated.get("License") or "not stated").strip().splitlines()[0]


def document() -> str:
    parts = [
        ("Bundled into functions", runtime()),
        ("For contributors and the command", development()),
        ("For synthesis and deployment, from npm", node_tools()),
    ]
    return "\n".join([HEADING, *(f"## {title}\n\n{_table(packages)}\n" for title, packages in parts)])


def _pinned(path: Path) -> list[Package]:
    pins = [match.groups() for line in path.read_text().splitlines() if (match := _PIN.match(line))]
    found = [Package(name, version, licence_of(metadata(name))) for name, version in pins]
    return sorted(found, key=lambda package: package.name.lower())


def _table(packages: list[Package]) -> str:
    rows = [f"| {package.name} | {package.version} | {package.licence} |" for package in packages]
    return "\n".join(["| package | version | licence |", "| --- | --- | --- |", *rows])


if __name__ == "__main__":
    DOC.write_text(document())
    print(f"wrote {DOC.relative_to(ROOT)}")
