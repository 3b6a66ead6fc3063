"""The engine's short cut past CDK gives the template that CDK gives."""

from __future__ import annotations

from collections.abc import Callable

from local import synth as engine
from tests.infra.template import Template


def test_allowed_sources_put_in_afterwards_are_those_synthesised(synth: Callable[..., Template]) -> None:
    settings = {"allowed_sources": "127.0.0.1:8080, files.internal,127.0.0.1:8080", "uploaders": "3"}
    whole = synth(**settings).body
    assert engine.template(settings) == whole
    assert "127.0.0.1:8080,files.internal" in str(whole)
