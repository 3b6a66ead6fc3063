"""Export APIs described once for everybody: a document gives a preset's name and the values it asks for.

Knows how a preset and what a document says beside it become one description; the document wins, field by field. The
presets themselves are JSON, in spec/vendors/.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from sluiceway.spec.mistakes import expected, found

VENDORS = Path(__file__).parent / "vendors"
SHOWN_NAMES = 10


def names() -> list[str]:
    return sorted(path.stem for path in VENDORS.glob("*.json"))


def expand(raw: dict[str, Any]) -> dict[str, Any]:
    """The description with its preset filled in. Raises the expectation that fails."""
    name, values = raw["preset"], raw.get("with", {})
    if name is None:
        return raw
    if name not in names():
        raise expected(f"one of {', '.join(names())}", at="preset", found=found(name))
    preset = _read(name)
    if not isinstance(values, dict):
        raise expected("an object of strings", at="with", found=found(values))
    absent = [each for each in preset["with"] if each not in values and preset["with"][each] is None]
    if absent:
        raise expected(f"values for {', '.join(absent)}, for the preset {name}", at="with", found=_shown(values))
    unknown = [each for each in values if each not in preset["with"]]
    if unknown:
        text = f"nothing but {', '.join(preset['with'])}, for the preset {name}"
        raise expected(text, at="with", found=_shown(unknown))
    merged: dict[str, Any] = _merge(preset["source"], raw)
    # Behind its preset a document is as it would be without one: it is read more than once.
    return {**merged, "preset": None, "with": {**preset["with"], **values}}


def _shown(names: Collection[Any]) -> str:
    """The names alone: a value may be a secret that was put here by mistake."""
    more = ["…"] if len(names) > SHOWN_NAMES else []
    return ", ".join([*map(found, islice(names, SHOWN_NAMES)), *more]) or "nothing"


@cache
def _read(name: str) -> dict[str, Any]:
    """`{"with": {name: default, or null for one that a document must give}, "source": …}`"""
    read: dict[str, Any] = json.loads((VENDORS / f"{name}.json").read_text())
    return read


def _merge(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {
        **below,
        **{name: _merge(below[name], value) if name in below else value for name, value in above.items()},
    }
