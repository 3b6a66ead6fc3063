"""The examples of docs/exports.md are jobs, and lines are counted like digests are taken."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sluiceway.spec import load_job
from sluiceway.transfer.digest import ROWS, new_hash
from sluiceway.transfer.resumable import resumable_hash

TEXT = (Path(__file__).parents[3] / "docs" / "exports.md").read_text()
EXAMPLES = [json.loads(each) for each in re.findall(r"```json\n(\{.*?)```", TEXT, re.DOTALL)]


@pytest.mark.parametrize("document", EXAMPLES, ids=lambda document: document["job_id"])
def test_an_example_is_a_valid_job(document: dict[str, Any]) -> None:
    assert load_job(document, "x").job_id == document["job_id"]


def test_every_preset_has_its_example() -> None:
    assert {each["source"].get("preset") for each in EXAMPLES} >= {
        "salesforce-bulk-query", "shopify-bulk", "amazon-sp-report", "rest",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "rows"), [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"a\n\nb\n", 3), (b"\n", 1), (b"a\r\nb", 2)]
)
@pytest.mark.parametrize("cut", [0, 1, 2])
def test_lines_are_counted_wherever_the_stream_is_cut_or_put_down(text: bytes, rows: int, cut: int) -> None:
    whole = new_hash(ROWS)
    first = resumable_hash(ROWS)
    whole.update(memoryview(text[:cut]))
    whole.update(memoryview(text[cut:]))
    first.update(memoryview(text[:cut]))
    second = resumable_hash(ROWS, json.loads(json.dumps(first.state())))
    second.update(memoryview(text[cut:]))
    assert whole.hexdigest() == second.hexdigest() == str(rows)
