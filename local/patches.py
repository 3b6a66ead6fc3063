"""Changes to a library that are undone on close."""

from __future__ import annotations

from typing import Any

_ABSENT = object()


class Patches:
    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> Any:
        """Sets `owner.name` and returns what was there. Raises AttributeError if the library has no such name (any
        more): a patch that no longer fits must not pass unnoticed."""
        old = vars(owner).get(name, _ABSENT)
        if old is _ABSENT:
            raise AttributeError(f"{owner!r} has no {name} of its own to replace")
        self._undo.append((owner, name, old))
        setattr(owner, name, value)
        return old

    def close(self) -> None:
        while self._undo:
            owner, name, old = self._undo.pop()
            setattr(owner, name, old)
