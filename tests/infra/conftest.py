"""The template, synthesised once, and readers of it by meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from app import build
from tests.infra.template import Template

UNBUNDLED: dict[str, Any] = {"aws:cdk:bundling-stacks": []}


@pytest.fixture(scope="session")
def synth() -> Callable[..., Template]:
    """`synth(max_concurrency="7")`: the template under these settings; each set of settings once a session."""
    made: dict[tuple[tuple[str, Any], ...], Template] = {}

    def synthesise(**settings: str) -> Template:
        key = tuple(sorted(settings.items()))
        if key not in made:
            context: Mapping[str, Any] = {**UNBUNDLED, **settings}
            stack = build(context).synth().stacks[0]
            made[key] = Template(stack.stack_name, stack.template)
        return made[key]

    return synthesise


@pytest.fixture(scope="session")
def template(synth: Callable[..., Template]) -> Template:
    return synth()
