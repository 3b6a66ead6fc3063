"""Objects whose fields stand once each: of two, JSON and YAML would silently ignore one.

Knows how the parsers build an object. Refuses to know what the fields mean.
"""

from __future__ import annotations

from typing import Any

from sluiceway.spec.mistakes import found

EXPECTED = "each field once"


class DoubledFieldError(ValueError):
    """A field stands twice in one object."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the field {found(name)} twice in one object")


class Once(dict[str, Any]):
    """An object that is built a field at a time. Setting one that is there raises DoubledFieldError."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self:
            raise DoubledFieldError(name)
        super().__setitem__(name, value)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these fields: an `object_pairs_hook` of json. Raises DoubledFieldError."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        fields = Once()
        for name, value in pairs:
            fields[name] = value
    return fields
