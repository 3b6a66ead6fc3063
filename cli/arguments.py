"""Parsers of arguments that say, unlike Typer's own, what they found and what they expected."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

# As the setting allowed_sources has it; an IPv6 address stands in brackets.
# S3 User Guide, "General purpose bucket naming rules", without the rarities (other stores
# take shorter names); or the ARN of an access point.
BUCKET = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?|arn:aws[a-z-]*:s3:.+")
HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


def whole_number(low: int, high: int | None = None) -> Callable[[Any], int]:
    """A parser that tells, unlike Typer's own, what it found and what it expected."""

    def parse(text: Any) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if number < low or (high is not None and number > high):
            bounds = f"from {low} to {high}" if high is not None else f"of at least {low}"
            raise typer.BadParameter(f"expected a whole number {bounds}, found {text!r}")
        return number

    return parse


def host_port(text: Any) -> str:
    if not HOST_PORT.fullmatch(str(text)):
        raise typer.BadParameter(f"expected HOST or HOST:PORT, found {text!r}")
    return str(text)


def secrets_file(text: Any) -> Path:
    """A JSON file `{name: value}`; a value is text or an object, as headers are. Its content is in no message."""
    path = Path(str(text))
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise typer.BadParameter(f"expected a file that can be read, found {text!r} ({error.strerror})") from None
    except ValueError:
        raise typer.BadParameter(f'expected JSON like {{"name": "value"}} in {text!r}, found something else') from None
    if not isinstance(found, dict) or not all(isinstance(value, str | dict) for value in found.values()):
        raise typer.BadParameter(f"expected an object of names, each with a text or an object, in {text!r}")
    return path
