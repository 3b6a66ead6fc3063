"""The documents name every option, field and setting there is, and no command that is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from cli.main import app
from sluiceway.spec import FileEntry, Job
from sluiceway.spec.document import Destination, Limits, ManifestSource
from sluiceway.spec.fhir_source import FhirBulkSource
from sluiceway.spec.http_source import Callback, Download, Files, HttpSource, Pagination, Poll, Start

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("model", "prefix"),
    [
        (Job, ""),
        (Destination, ""),
        (Limits, ""),
        (FileEntry, ""),
        (ManifestSource, ""),
        (FhirBulkSource, ""),
        (HttpSource, ""),
        (Callback, ""),
        (Download, ""),
        (Pagination, ""),
        (Start, "start."),
        (Poll, "poll."),
        (Files, "files."),
    ],
)
def test_job_spec_names_every_field(model: type[BaseModel], prefix: str) -> None:
    text = (ROOT / "docs/job-spec.md").read_text()
    names = {field.alias or name for name, field in model.model_fields.items()}
    assert [name for name in sorted(names) if f"`{prefix}{name}`" not in text and f'"{name}"' not in text] == []


@pytest.mark.parametrize(
    "command", ["run", "copy", "submit", "rerun", "watch", "report", "cancel", "list", "engine start"]
)
def test_readme_names_every_option(command: str) -> None:
    text = (ROOT / "README.md").read_text()
    assert f"`{command} " in text or f"sluiceway {command} " in text or f"`{command}`" in text
    shown = CliRunner().invoke(app, [*command.split(), "--help"]).stdout
    options = set(re.findall(r"--[a-z0-9-]+", shown.partition("Options:")[2])) - {"--help"}
    assert [option for option in sorted(options) if option not in text] == []


def test_readme_leads_to_every_page_and_to_none_that_is_gone() -> None:
    links = set(re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text()))
    assert [link for link in sorted(links) if not (ROOT / link).exists()] == []
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} - {"docs/licences.md"}
    assert pages | {"SECURITY.md", "ARCHITECTURE.md", "CHANGELOG.md"} <= links


def test_readme_names_only_targets_there_are() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make ([a-z-]+)", (ROOT / "README.md").read_text()):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
