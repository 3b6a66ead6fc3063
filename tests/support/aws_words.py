"""A command of the AWS CLI as the call it makes: its words held against botocore's model of the service.

Knows how the CLI spells operations and parameters. Refuses the high-level commands (`aws s3 cp`), which are no calls.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import jmespath
from botocore import xform_name
from botocore.validate import validate_parameters

# Options of the CLI itself.
GLOBAL = frozenset({"output", "query", "region", "profile", "cli-read-timeout"})
# The CLI's own names of services, where botocore has another.
SERVICES = {"s3api": "s3"}


@dataclass(frozen=True)
class Call:
    """`outfile` is where the CLI writes a streamed reply; `query` the JMESPath of what it prints."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    outfile: Path | None
    query: str | None

    def make(self, client: Any) -> Any:
        """The reply, its stream written to `outfile`."""
        reply = getattr(client, xform_name(self.operation))(**self.parameters)
        for value in reply.values():
            if hasattr(value, "read") and self.outfile is not None:
                self.outfile.write_bytes(value.read())
        return reply


def parse(words: Sequence[str]) -> Call:
    """`words` begin behind `aws`. Raises ValueError for a service, an operation or a parameter that there is not, and
    for a value the service would not take."""
    service = SERVICES.get(words[0], words[0])
    model = botocore.session.Session().get_service_model(service)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    if words[1] not in operations:
        raise ValueError(f"{words[0]} has no {words[1]}")
    shape = model.operation_model(operations[words[1]]).input_shape
    names = {xform_name(member, "-"): member for member in (shape.members if shape else {})}
    options, positionals = _options(words[2:])
    if unknown := options.keys() - names.keys() - GLOBAL:
        raise ValueError(f"{words[0]} {words[1]} has no {sorted(unknown)}")
    parameters = {names[each]: _value(text, shape.members[names[each]]) for each, text in options.items()
                  if each not in GLOBAL}  # fmt: skip
    if shape is not None:
        validate_parameters(parameters, shape)
    if "query" in options:
        jmespath.compile(options["query"])
    outfile = Path(positionals[0]) if positionals else None
    return Call(service, operations[words[1]], parameters, outfile, options.get("query"))


def _options(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    positionals: list[str] = []
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            options[word.removeprefix("--")] = next(rest)
        else:
            positionals.append(word)
    return options, positionals


def _value(text: str, shape: Any) -> Any:
    if shape.type_name == "blob":
        # Version 2 of the CLI takes bytes from a file as they are with fileb:// alone, and else Base64.
        path = text.removeprefix("fileb://")
        return Path(path).read_bytes() if path != text else base64.b64decode(text, validate=True)
    if text.startswith("file://"):
        text = Path(text.removeprefix("file://")).read_text()
    match shape.type_name:
        case "integer" | "long":
            return int(text)
        case "double" | "float":
            return float(text)
        case "structure" | "list" | "map":
            return json.loads(text)
    return text
