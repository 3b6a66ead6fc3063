"""What is said of a preset that is not there, and of values it lacks or does not know."""

from __future__ import annotations

from typing import Any

import pytest

from sluiceway.errors import InvalidJobError
from sluiceway.spec import load_job

PRESETS = "amazon-sp-report, rest, salesforce-bulk-query, shopify-bulk"
MISTAKES = [
    ({"preset": "nope"}, f"source.preset: expected one of {PRESETS}, found 'nope'"),
    ({"preset": 5, "with": {}}, f"source.preset: expected one of {PRESETS}, found 5"),
    ({"preset": ["rest"]}, f"source.preset: expected one of {PRESETS}, found a list"),
    ({"preset": "rest"}, "source.with: expected values for url, for the preset rest, found nothing"),
    ({"preset": "rest", "with": {}}, "source.with: expected values for url, for the preset rest, found nothing"),
    ({"preset": "rest", "with": None}, "source.with: expected an object of strings, found null"),
    ({"preset": "rest", "with": "https://h"}, "source.with: expected an object of strings, found 'https://h'"),
    ({"preset": "rest", "with": {"url": 5}}, "source.with.url: expected a string, found 5; in quotes it is a string"),
    ({"preset": "amazon-sp-report", "with": {"endpoint": "planted", "marketplce": "planted"}},
     "source.with: expected values for report_type, marketplace, for the preset amazon-sp-report, "
     "found 'endpoint', 'marketplce'"),
    ({"preset": "rest", "with": {"url": "https://h", "uri": "planted", 5: "x"}},
     "source.with: expected nothing but url, for the preset rest, found 'uri', 5"),
    ({"preset": "rest", "with": dict.fromkeys("abcdefghijkl", "x")},
     "source.with: expected values for url, for the preset rest, found "
     "'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', …"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "told"), MISTAKES)
def test_a_preset_says_where_what_it_needs_is_missing(written: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        load_job({"source": {"type": "http", **written}}, "x")
    assert list(map(str, caught.value.mistakes)) == [told]
