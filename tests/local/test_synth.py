"""The template comes from the cache while nothing it is made of changed; sources of a run do not count as a change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from local import synth


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """A repository in small; each synthesis leaves its context here."""
    calls: list[Mapping[str, Any]] = []

    def synthesise(context: Mapping[str, Any]) -> dict[str, Any]:
        calls.append(context)
        return {"context": dict(context)}

    for name in ("app.py", "cdk.json", "requirements.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "infra").mkdir()
    (tmp_path / "lambdas").mkdir()
    monkeypatch.setattr(synth, "ROOT", tmp_path)
    monkeypatch.setattr(synth, "_synthesise", synthesise)
    return calls


def test_a_second_run_is_from_the_cache(made: list[Mapping[str, Any]]) -> None:
    assert synth.template({"uploaders": "3"}) == synth.template({"uploaders": "3"})
    assert len(made) == 1
    synth.template({"uploaders": "4"})
    assert len(made) == 2


def test_other_sources_are_filled_in_without_another_synthesis(made: list[Mapping[str, Any]]) -> None:
    for sources in ("127.0.0.1:1234", "[::1]:80,files.internal"):
        assert synth.template({"allowed_sources": sources})["context"]["allowed_sources"] == sources
    assert len(made) == 1


def test_a_change_in_infra_is_seen(made: list[Mapping[str, Any]]) -> None:
    synth.template({})
    (synth.ROOT / "infra" / "stack.py").write_text("# other")
    synth.template({})
    assert len(made) == 2


def test_the_real_app_gives_functions_their_sources() -> None:
    made = synth.template({"allowed_sources": "127.0.0.1:1234,files.internal"})
    assert synth.PLACEHOLDER not in json.dumps(made)
    functions = [each for each in made["Resources"].values() if each["Type"] == "AWS::Lambda::Function"]
    named = [each["Properties"]["Environment"]["Variables"].get("SLUICEWAY_ALLOWED_SOURCES") for each in functions]
    assert "127.0.0.1:1234,files.internal" in named
