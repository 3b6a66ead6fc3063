"""Turns what Pydantic found wrong into mistakes a user can mend: where, what was found, what was expected.

Knows which values may be shown: a mistake ends up in logs and on screens, so no link, header or body does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from sluiceway.errors import FieldError
from sluiceway.redact import REDACTED, redact_text
from sluiceway.spec.nearest import nearest

# spec/auth.py cannot be asked: it needs this module.
AUTH_TYPES = ("none", "basic", "bearer", "api-key", "oauth2", "smart", "aws-sigv4")

# Where everything is wrong, the first hundred say enough; the text also has to fit an error of Step Functions.
MAX_MISTAKES = 100
SHOWN_CHARS = 80
SHOWN_BITS = 128
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
# Fields whose values are secrets or may hold one.
SECRET_FIELDS = frozenset({"headers", "body", "json", "task_token"})

# What Pydantic puts behind a field that may be one of several kinds.
_TAGS: dict[int | str, frozenset[str]] = {
    "source": frozenset({"urls", "manifest", "http", "fhir-bulk"}),
    "auth": frozenset({*AUTH_TYPES, "word", "scheme"}),
    "start": frozenset({"one", "several"}),
}

_EXPECTED = {
    "missing": "a value",
    "string_type": "a string",
    "string_unicode": "a string without half a surrogate pair",
    "string_too_short": "a longer string",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "none_required": "null",
}


def expected(text: str, *, at: str | None = None, found: str | None = None) -> PydanticCustomError:
    """The error a validator raises: `text` says what was expected, as `a whole number from 1 to 100`. It must not
    quote the value. `at` is the name, in an object, of the value that is wrong; `found` is what to show of it."""
    return PydanticCustomError("expected", "{text}", {"text": text, "at": at, "found": found})


def mistakes_of(error: ValidationError, model: type[BaseModel], where: str = "") -> list[FieldError]:
    """What is wrong with a document of `model`. `where` leads the path of each mistake, as `source.files[3]` or
    `list.csv line 4`."""
    return [_mistake(details, model, where) for details in error.errors(include_url=False)[:MAX_MISTAKES]]


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
        case int():
            return str(value) if value.bit_length() <= SHOWN_BITS else "a number of too many digits"
        case float():
            return "no number (NaN)" if value != value else str(value)
        case dict():
            return "an object"
        case list() | tuple():
            return "a list"
        case str() if secret:
            return REDACTED
        case str():
            return _shown(value)
        case date():
            return "a date; in quotes it is a string"
    return type(value).__name__


def _shown(text: str) -> str:
    bare = without_secrets(text)
    return repr(bare if len(bare) <= SHOWN_CHARS else bare[:SHOWN_CHARS] + "…")


def without_secrets(text: str) -> str:
    """What of a text may be shown. A link too broken to be parsed still has its signature after the question mark and a
    password before the at sign, which may hold any character; with neither it is shown, however broken its port is."""
    scheme, mark, rest = text.partition("://")
    bare = rest.partition("#")[0].partition("?")[0] if mark else text.partition("?")[0]
    if "@" in text:
        bare = bare.rpartition("@")[2] if "@" in bare else REDACTED
    return f"{scheme}://{bare}" if mark and _SCHEME.fullmatch(scheme) else redact_text(bare)


def unquoted(value: Any) -> str | None:
    """What to show of a number, or of true, in the place of a string; None for any other value."""
    return f"{found(value)}; in quotes it is a string" if isinstance(value, int | float) else None


def _mistake(details: ErrorDetails, model: type[BaseModel], where: str) -> FieldError:
    location = details["loc"]
    kind = details["type"]
    # A tagged union puts the tag of the chosen member into the location; users did not write it there.
    written: list[int | str] = []
    for step in location:
        if not written or step not in _TAGS.get(written[-1], ()):
            written.append(step)
    location = tuple(written)
    secret = not SECRET_FIELDS.isdisjoint(str(step) for step in location)
    context = details.get("ctx", {})
    if context.get("at") is not None:
        location = (*location, context["at"])
    shown = "nothing" if kind in ("missing", "union_tag_not_found") else found(details["input"], secret=secret)
    shown = context.get("found") or (unquoted(details["input"]) if kind == "string_type" else None) or shown
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        location, shown = (*location, "type"), _tag(details["input"])
    if kind == "extra_forbidden":
        # The name itself was the mistake: what stands behind it does not matter.
        near = nearest(model, details["loc"])
        return FieldError(path_of(location, where), f"unknown field{f'; did you mean {near}?' if near else ''}")
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
