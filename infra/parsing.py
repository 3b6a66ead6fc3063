"""Reads a setting's value, given as text on a command line or typed in cdk.json.

Each function here makes a parser: it returns the value in its type or raises Wrong, saying what was expected.
Refuses to know which settings there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Parser = Callable[[Any], Any]


class Wrong(Exception):
    """What was expected instead."""


def whole(low: int, high: int) -> Parser:
    def parse(value: Any) -> int:
        try:
            found = int(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
        except ValueError:
            found = None
        if isinstance(value, float) and value.is_integer():  # CDK hands numbers over as floats
            found = int(value)
        if found is None or not low <= found <= high:
            raise Wrong(f"a whole number from {low} to {high}")
        return found

    return parse


def number(low: float, high: float) -> Parser:
    def parse(value: Any) -> float:
        try:
            found = float(value)
        except (TypeError, ValueError):
            found = float("nan")
        if not low <= found <= high:
            raise Wrong(f"a number from {low} to {high}")
        return found

    return parse


def one_of(*choices: Any) -> Parser:
    def parse(value: Any) -> Any:
        for choice in choices:
            if value == choice or str(value) == str(choice):
                return choice
        raise Wrong("one of " + ", ".join(str(choice) for choice in choices))

    return parse


def text(pattern: re.Pattern[str], expected: str) -> Parser:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise Wrong(expected)
        return value

    return parse


def many(item: Parser) -> Parser:
    """A list, written `a,b` on a command line or as a JSON array in cdk.json; each item once, order kept."""

    def parse(value: Any) -> tuple[Any, ...]:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, Iterable) or isinstance(value, Mapping):
            raise Wrong("a list, comma between its items")
        try:
            return tuple(dict.fromkeys(item(each) for each in value))
        except Wrong as wrong:
            raise Wrong(f"a list, each item {wrong}") from wrong

    return parse


def optional(parse: Parser) -> Parser:
    """Lets an empty text through, which stands for none."""

    def parse_or_none(value: Any) -> Any:
        return "" if value in ("", None) else parse(value)

    return parse_or_none
