"""Which stack a command speaks to: the options that say so, the same for each of them.

Knows how they are spelt. Refuses to know how a stack is found: stack.py does, and costs more to import.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

import typer

from cli.arguments import endpoint, web_host

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class StackName:
    """Which stack, and where: `profile` and `region` None are what the environment and ~/.aws say."""

    stack: str
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether it is an engine on this machine: it may be looked at often, and no console shows it."""
        url = self.endpoint_url or os.environ.get("AWS_ENDPOINT_URL", "")
        return web_host(url) in LOOPBACK


def of_stack(command: Callable[..., None]) -> Callable[..., None]:
    """Gives `command`, which takes the StackName `name`, the options of `_which` in its place."""

    @wraps(command)
    def with_options(stack: str, profile: str | None, region: str | None, endpoint_url: str | None, **own: Any) -> None:
        command(name=StackName(stack, profile, region, endpoint_url), **own)

    own = inspect.signature(command, eval_str=True).parameters.values()
    options = inspect.signature(_which, eval_str=True).parameters.values()
    # Typer reads the signature alone; by keyword, for an option with a default may stand before an argument.
    shown = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in [*own, *options] if each.name != "name"]
    with_options.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    return with_options


def _which(
    stack: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            envvar="SLUICEWAY_STACK",
            help="Name of the deployed stack: sluiceway, or sluiceway-STAGE.",
        ),
    ] = "sluiceway",
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="A profile of ~/.aws/config, as for the AWS CLI.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(metavar="REGION", help="AWS Region; overrides environment and profile.")
    ] = None,
    endpoint_url: Annotated[
        str | None,
        typer.Option(
            "--endpoint-url",
            metavar="URL",
            parser=endpoint,
            help="A running engine: what `sluiceway engine start` prints.",
        ),
    ] = None,
) -> None:
    """The options themselves; nobody calls it."""
