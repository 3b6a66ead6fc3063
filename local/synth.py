"""The template of the CDK app, from the cache when nothing it is made of has changed.

Knows what the template depends on. Runs the app in a process of its own, so that JavaScript and jsii leave no memory
behind, and unbundled: the engine runs the functions from lambdas/ as they lie there.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SYNTH_SECONDS = 300
# Sources on loopback have another port with every run: the template is made with this one and filled in.
PLACEHOLDER = "allowed-sources.invalid"


class SynthError(Exception):
    """The CDK app did not synthesise; the text is the end of what it said."""


def template(settings: Mapping[str, str]) -> dict[str, Any]:
    """The synthesised template for these settings (names of infra/settings.py). Raises SynthError."""
    sources = settings.get("allowed_sources", "")
    if sources:
        made = _cached({**settings, "allowed_sources": PLACEHOLDER})
        filled: dict[str, Any] = json.loads(json.dumps(made).replace(PLACEHOLDER, json.dumps(sources)[1:-1]))
        return filled
    return _cached(settings)


def _cached(settings: Mapping[str, str]) -> dict[str, Any]:
    context = {**settings, "aws:cdk:bundling-stacks": []}
    cached = ROOT / ".sluiceway" / "cache" / f"{_fingerprint(context)}.json"
    if cached.is_file():
        loaded: dict[str, Any] = json.loads(cached.read_text())
        return loaded
    made = _synthesise(context)
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=cached.parent, delete=False) as file:
        json.dump(made, file)
    os.replace(file.name, cached)
    return made


def _fingerprint(context: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(context, sort_keys=True).encode())
    sources = [ROOT / "app.py", ROOT / "cdk.json", ROOT / "requirements.txt"]
    sources += sorted((ROOT / "infra").rglob("*.py")) + sorted((ROOT / "lambdas").glob("requirements*"))
    sources += sorted((ROOT / "lambdas").glob("*/handler.py"))
    for path in sources:
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _synthesise(context: Mapping[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="sluiceway-synth-") as folder:
        environment = {**os.environ, "CDK_OUTDIR": folder, "CDK_CONTEXT_JSON": json.dumps(context)}
        done = subprocess.run(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SYNTH_SECONDS,
            check=False,
        )
        templates = sorted(Path(folder).glob("*.template.json"))
        if done.returncode or len(templates) != 1:
            raise SynthError(f"app.py ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
        made: dict[str, Any] = json.loads(templates[0].read_text())
        return made
