"""docs/licences.md lists every pinned package, and nothing copyleft is bundled."""

from __future__ import annotations

from email.message import Message
from typing import Any, cast

import pytest

from infra.licences import DOC, document, licence_of, node_tools, runtime

# Words of licences that oblige whoever distributes: GPL, LGPL, AGPL, MPL, EPL, SSPL, BUSL.
OBLIGING = ("GPL", "MPL", "Mozilla", "EPL", "Eclipse", "SSPL", "BUSL", "not stated")


def test_the_document_is_up_to_date() -> None:
    assert DOC.read_text() == document(), "run `python -m infra.licences`"


def test_nothing_that_obliges_is_bundled() -> None:
    packages = runtime()
    assert len(packages) > 5
    assert [each for each in [*packages, *node_tools()] if any(word in each.licence for word in OBLIGING)] == []


@pytest.mark.parametrize(
    ("stated", "licence"),
    [
        ([("License-Expression", "MIT"), ("License", "x")], "MIT"),
        ([("Classifier", "License :: OSI Approved :: B"), ("Classifier", "License :: OSI Approved :: A")], "A, B"),
        ([("License", "BSD\n\nwith the text behind it")], "BSD"),
        ([], "not stated"),
    ],
)
def test_a_licence_is_taken_from_where_it_is_stated(stated: list[tuple[str, str]], licence: str) -> None:
    message = Message()
    for name, value in stated:
        message.add_header(name, value)
    assert licence_of(cast(Any, message)) == licence
