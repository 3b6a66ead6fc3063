"""Metrics as CloudWatch reads them: embedded in what a function prints."""

from __future__ import annotations

import json
from typing import Any


def embedded(out: str) -> list[dict[str, Any]]:
    """The lines of `out` that carry metrics."""
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return [line for line in lines if "_aws" in line]
