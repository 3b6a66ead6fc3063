"""Turns what Pydantic found wrong into mistakes a user can mend: where, what was found, what was expected.

Knows which values may be shown: a mistake ends up in logs and on screens, so no link, header or body does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from sluiceway.errors import FieldError
from sluiceway.redact import REDACTED, redact_text

# spec/auth.py cannot be asked: it needs this module.
AUTH_TYPES = ("none", "basic", "bearer", "api-key", "oauth2", "smart", "aws-sigv4")

# Where everything is wrong, the first hundred say enough; the text also has to fit an error of Step Functions.
MAX_MISTAKES = 100
SHOWN_CHARS = 80
# Fields whose values are secrets or may hold one.
SECRET_FIELDS = frozenset({"headers", "body", "json", "task_token"})

# What Pydantic puts behind a field that may be one of several kinds.
_TAGS: dict[int | str, frozenset[str]] = {
    "source": frozenset({"urls", "manifest", "http", "fhir-bulk"}),
    "auth": frozenset({*AUTH_TYPES, "word", "scheme"}),
    "start": frozenset({"one", "several"}),
}

_EXPECTED = {
    "extra_forbidden": "no such field",
    "missing": "a value",
    "string_type": "a string",
    "string_too_short": "a longer string",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "none_required": "null",
}


def expected(text: str) -> PydanticCustomError:
    """The error a validator raises: `text` says what was expected, as `a whole number from 1 to 100`. It must not
    quote the value."""
    return PydanticCustomError("expected", "{text}", {"text": text})


def mistakes_of(error: ValidationError, where: str = "") -> list[FieldError]:
    """`where` leads the path of each mistake, as `source.files[3]` or `list.csv line 4`."""
    return [_mistake(details, where) for details in error.errors(include_url=False)[:MAX_MISTAKES]]


def path_of(location: Iterable[int | str], where: str = "") -> str:
    """`("source", "files", 3, "url")` -> `source.files[3].url`; behind a line number, `list.csv line 4, url`."""
    path = where
    for step in location:
        dot = ", " if path == where and where[-1:].isdigit() else "."
        path += f"[{step}]" if isinstance(step, int) else f"{dot}{step}" if path else str(step)
    return path


def found(value: Any, *, secret: bool = False) -> str:
    """The value as a mistake may show it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case dict():
            return "an object"
        case list() | tuple():
            return "a list"
        case str() if secret:
            return REDACTED
        case str():
            return _shown(value)
    return type(value).__name__


def _shown(text: str) -> str:
    # A link that is too broken to be seen as one still has its signature after the question mark, a password before
    # the at sign.
    text = redact_text(text.partition("?")[0].rpartition("@")[2])
    return repr(text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…")


def _mistake(details: ErrorDetails, where: str) -> FieldError:
    location = details["loc"]
    kind = details["type"]
    # A tagged union puts the tag of the chosen member into the location; users did not write it there.
    written: list[int | str] = []
    for step in location:
        if not written or step not in _TAGS.get(written[-1], ()):
            written.append(step)
    location = tuple(written)
    secret = not SECRET_FIELDS.isdisjoint(str(step) for step in location)
    shown = "nothing" if kind in ("missing", "union_tag_not_found") else found(details["input"], secret=secret)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        location, shown = (*location, "type"), _tag(details["input"])
    if kind == "extra_forbidden":
        # The name itself was the mistake: what stands behind it does not matter.
        shown = f"the field {location[-1]!r}"[:SHOWN_CHARS]
    return FieldError(path_of(location, where) or "job", shown, _expectation(details))


def _tag(value: Any) -> str:
    return found(value["type"]) if isinstance(value, dict) and "type" in value else "nothing"


def _expectation(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    match kind:
        case "literal_error":
            return str(context["expected"]).replace("'", "")
        case "union_tag_invalid" | "union_tag_not_found":
            return ", ".join(AUTH_TYPES) if details["loc"][-1:] == ("auth",) else "urls, manifest, http or fhir-bulk"
        case "greater_than_equal":
            return f"at least {_number(context['ge'])}"
        case "less_than_equal":
            return f"at most {_number(context['le'])}"
        case "greater_than":
            return f"more than {_number(context['gt'])}"
        case "too_long" | "string_too_long":
            return f"at most {context['max_length']}" + (" characters" if kind == "string_too_long" else " items")
        case "too_short":
            return f"at least {context['min_length']} items"
    return _EXPECTED.get(kind, details["msg"])


def _number(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)
