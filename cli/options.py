"""Options that several commands have, so that they are spelt and explained the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.arguments import Secrets, host_port, secrets_file

AllowSource = Annotated[
    list[str],
    typer.Option(
        "--allow-source",
        metavar="HOST[:PORT]",
        parser=host_port,
        help="Permit this host although it is private or plain http; repeatable. By default only https to public "
        "addresses is allowed.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Landed = Annotated[Path, typer.Option(metavar="DIR", help="Where objects land as plain files: DIR/<bucket>/<key>.")]
Assignments = Annotated[
    list[str],
    typer.Option("--set", metavar="NAME=VALUE", help="Any setting of infra/settings.py, for this run; repeatable."),
]

SecretsFile = Annotated[
    Secrets | None,
    typer.Option(metavar="FILE", parser=secrets_file, help="Secrets that jobs may name, as JSON: {name: value}."),
]
