"""JSON and YAML as strictly as a job is read: every field once, and every mistake an InvalidJobError that says where.

Knows the parsers' own errors and quotes nothing of the document, which may hold links. Refuses to know what a job is.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from sluiceway.errors import FieldError, InvalidJobError
from sluiceway.exports.once import DoubledFieldError, once

# Python converts no more, and calls it a setting of its own.
MAX_DIGITS = 4300
TOO_DEEP = "too many levels of nesting"
INT = "tag:yaml.org,2002:int"
DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)$")


def parse_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=once, parse_int=_whole)
    except RecursionError:
        told = TOO_DEEP
    except UnicodeDecodeError:
        told = "bytes that are not UTF-8"
    except ValueError as error:
        told = str(error)
    raise InvalidJobError([FieldError("job", f"not valid JSON: {told}")])


def parse_yaml(path: Path) -> Any:
    try:
        return yaml.load(path.read_bytes(), _StrictLoader)
    except RecursionError:
        told = TOO_DEEP
    except yaml.MarkedYAMLError as error:
        told = _told(error)
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
    raise InvalidJobError([FieldError("job", f"not valid YAML: {told}")])


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


class _StrictLoader(yaml.SafeLoader):
    """YAML 1.2 asks that keys of a mapping be unique; PyYAML takes the last. And what PyYAML cannot make a value of, as
    a date of a month that is none, it tells without a place."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """As the mapping is written: a merge key brings in fields that others may replace."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        try:
            once([(key.value, None) for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
        except DoubledFieldError as error:
            raise yaml.composer.ComposerError(None, None, str(error), node.start_mark) from None
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError):
            kind = node.tag.rpartition(":")[2]
            problem = f"what looks like a value of the kind {kind} and is none; in quotes it is a string"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None


# YAML 1.1, which PyYAML reads, has octal, sexagesimal and other numbers: 0123 would be 83, and 1:30 would be 90.
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, DECIMAL if tag == INT else pattern) for tag, pattern in resolvers]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _told(error: yaml.MarkedYAMLError) -> str:
    """What and where, without the line itself, which PyYAML quotes."""
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else None
    return ", ".join(part for part in (error.context, error.problem, place) if part)
