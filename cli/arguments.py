"""Parsers of arguments that say, unlike Typer's own, what they found and what they expected."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import typer

from sluiceway.source.hosts import wrong_source

# S3 User Guide, "General purpose bucket naming rules", without the rarities (other stores take shorter names); or
# "Access points": an ARN, which has a slash of its own and a Region only where the access point is of one.
TARGET = re.compile(
    r"s3://(?P<bucket>[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?"
    r"|arn:aws[a-z-]*:s3:[a-z0-9-]*:[0-9]{12}:accesspoint[:/][A-Za-z0-9.-]+)/(?P<key>.+)",
    re.DOTALL,
)

# By name: each a text, or an object as headers are.
Secrets: TypeAlias = dict[str, Any]


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
    expected = wrong_source(str(text))
    if expected is not None:
        raise typer.BadParameter(f"expected {expected}, found {text!r}")
    return str(text)


def web_host(text: str) -> str | None:
    """The host of an http or https URL; None for what is no such URL."""
    try:
        parts = urlsplit(text)
        return parts.hostname if parts.scheme in ("http", "https") else None
    except ValueError:
        return None


def endpoint(text: Any) -> str:
    if not web_host(str(text)):
        raise typer.BadParameter(f"expected a URL like http://127.0.0.1:4700, found {text!r}")
    return str(text)


def secrets_file(text: Any) -> Secrets:
    """What a JSON file `{name: value}` holds, none of which is in a message. It is read here alone: a pipe is empty the
    second time."""
    path = Path(str(text))
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise typer.BadParameter(f"expected a file that can be read, found {text!r} ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise typer.BadParameter(f'expected JSON like {{"name": "value"}} in {text!r}, found something else') from None
    if not isinstance(found, dict) or not all(
        name and value and isinstance(value, str | dict) for name, value in found.items()
    ):
        raise typer.BadParameter(f"expected names, each with a text or an object, none of them empty, in {text!r}")
    return found


def certificates(text: Any) -> Path:
    """A file of certificates in PEM, read once as TLS will read it: a wrong one is no failure of the source."""
    import ssl  # only the commands that are given certificates pay for it

    path = Path(str(text))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise typer.BadParameter(f"expected certificates in PEM, found none in {text!r}") from None
    except OSError as error:
        raise typer.BadParameter(f"expected a file that can be read, found {text!r} ({error.strerror})") from None
    return path
