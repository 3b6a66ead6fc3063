"""Which uploads at a key are ended after a reply was lost, and which may be another's that is at work."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from sluiceway.sink.leftovers import end_empty

# What S3's clock shows while ours shows another day.
NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@dataclass
class Uploads:
    """The calls of an S3 client that look for uploads at the key "k" and end them. `ages` are seconds, `parts` the ids
    of uploads that have some."""

    ages: Mapping[str, float]
    parts: frozenset[str] = frozenset()
    ended: list[str] = field(default_factory=list)

    def list_multipart_uploads(self, **_: Any) -> dict[str, Any]:
        found = [
            {"Key": "k", "UploadId": name, "Initiated": NOW - timedelta(seconds=age)} for name, age in self.ages.items()
        ]
        date = format_datetime(NOW, usegmt=True)
        return {"Uploads": found, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}

    def list_parts(self, UploadId: str, **_: Any) -> dict[str, Any]:
        return {"Parts": [{"PartNumber": 1}]} if UploadId in self.parts else {}

    def abort_multipart_upload(self, UploadId: str, **_: Any) -> None:
        self.ended.append(UploadId)


@pytest.mark.parametrize(
    ("age", "is_ended"),
    [(3600, False), (63, False), (60.5, True), (60, True), (50, True), (40, True), (39, True), (36, False), (0, False)],
)
def test_an_empty_upload_is_ended_if_it_began_while_one_was_asked_for(age: float, is_ended: bool) -> None:
    """Asked for from 60 to 40 seconds ago."""
    s3, now = Uploads({"u": age}), time.monotonic()
    assert end_empty(s3, "b", "k", None, (now - 60, now - 40)) == len(s3.ended)
    assert (s3.ended == ["u"]) is is_ended


def test_neither_ours_nor_one_with_parts_is_ended() -> None:
    s3, now = Uploads({"ours": 5, "at work": 5, "lost": 5}, frozenset({"ours", "at work"})), time.monotonic()
    assert end_empty(s3, "b", "k", "ours", (now - 10, now)) == 1
    assert s3.ended == ["lost"]
