"""Fields in keys and prefixes, `acme/{yyyy}/{mm}/{dd}/`, and what they are filled with.

Knows the names there are and how a brace that is no field is written. Refuses to know where a text came from: keys
that a user did not write, those of links and of export APIs, are not for filling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

NAMES = ("yyyy", "mm", "dd", "hh", "date", "job_id")
# Said wherever a field is wrong.
EXPECTED = "the fields " + ", ".join(f"{{{name}}}" for name in NAMES) + ", and {{ and }} for braces"

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class FieldNameError(ValueError):
    """A field that there is not, or a brace that is neither part of one nor doubled."""


def values_of(job_id: str, begun_at: str) -> dict[str, str]:
    """What each field stands for. `begun_at` is ISO 8601; dates and hours are those of UTC."""
    begun = datetime.fromisoformat(begun_at).astimezone(UTC)
    return {
        "yyyy": f"{begun:%Y}",
        "mm": f"{begun:%m}",
        "dd": f"{begun:%d}",
        "hh": f"{begun:%H}",
        "date": f"{begun:%Y-%m-%d}",
        "job_id": job_id,
    }


def fill(text: str, values: Mapping[str, str]) -> str:
    """`{date}/{{a}}` -> `2026-11-23/{a}`. Raises FieldNameError for a field that `values` does not have."""

    def value(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        if match[1] not in values:
            raise FieldNameError(f"expected {EXPECTED}")
        return values[match[1]]

    return _BRACES.sub(value, text)


def escape(text: str) -> str:
    """The text that `fill` turns into this one."""
    return text.replace("{", "{{").replace("}", "}}")
