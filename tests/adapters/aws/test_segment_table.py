"""What the segments of a split file gave and took: one row each, for every upload of the file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sluiceway.aws.rows import segment_key, to_attributes
from sluiceway.aws.segment_table import SegmentRow, SegmentTable
from sluiceway.jobs.files import FileTask
from sluiceway.transfer.segments import SegmentSum
from tests.support.deployment import Deployment

TASK = FileTask("https://h/large", "landing", "large")
FIRST, SECOND = "f" * 32, "0" * 32
SUM = SegmentSum(10, {"crc64nvme": 2**64 - 1, "crc32": 0})


def took(seconds: float) -> dict[str, Any]:
    return {"seconds": {"total": seconds}, "counts": {"part_retries": 3}, "relays": 1}


@pytest.fixture
def segments(deployment: Deployment) -> SegmentTable:
    return deployment.movers.segments


def test_rows_are_read_back_in_the_order_of_the_segments(segments: SegmentTable) -> None:
    segments.put("j", 1, TASK, FIRST, None, None, took(0.25))
    for n in (1, 0, 11, 399):
        segments.put("j", 1, TASK, FIRST, n, replace(SUM, bytes=n), took(n))
    begun, *rows = sorted(segments.rows("j", 1, TASK), key=lambda row: row.total is not None)
    assert begun == SegmentRow(FIRST, None, took(0.25))
    assert rows == [SegmentRow(FIRST, replace(SUM, bytes=n), took(n)) for n in (0, 1, 11, 399)]


def test_of_a_segment_that_is_invoked_again_the_last_counts(segments: SegmentTable) -> None:
    for seconds, total in ((1, None), (2, None), (3, SUM), (4, SUM)):
        segments.put("j", 1, TASK, FIRST, 7, total, took(seconds))
        assert segments.rows("j", 1, TASK) == [SegmentRow(FIRST, total, took(seconds))]


def test_an_invocation_that_did_not_move_a_segment_hides_none_that_did(segments: SegmentTable) -> None:
    segments.put("j", 1, TASK, FIRST, 7, SUM, took(3))
    segments.put("j", 1, TASK, FIRST, 7, None, took(9))
    assert segments.rows("j", 1, TASK) == [SegmentRow(FIRST, SUM, took(3))]


def test_an_older_upload_has_rows_of_its_own(segments: SegmentTable) -> None:
    segments.put("j", 1, TASK, SECOND, 0, SUM, took(2))
    segments.put("j", 1, TASK, FIRST, 0, None, took(1))
    assert sorted(segments.rows("j", 1, TASK), key=lambda row: row.attempt) == [
        SegmentRow(SECOND, SUM, took(2)),
        SegmentRow(FIRST, None, took(1)),
    ]


def test_other_files_runs_and_jobs_are_left_out(segments: SegmentTable) -> None:
    segments.put("j", 1, TASK, FIRST, 0, SUM, took(1))
    other = next(
        each for n in range(100) if (each := replace(TASK, key=f"k{n}")).shard == TASK.shard and each.key != TASK.key
    )
    assert segments.rows("j", 2, TASK) == segments.rows("k", 1, TASK) == segments.rows("j", 1, other) == []


def test_rows_from_before_they_told_their_run_are_left_out(segments: SegmentTable) -> None:
    key = segment_key("j", TASK, FIRST, "0000") | to_attributes({"sk": f"SEGMENT#{TASK.file_id}#0000"})
    segments.client.put_item(TableName=segments.name, Item=key | to_attributes({"upload_id": "u", "bytes": 10}))
    segments.put("j", 1, TASK, FIRST, 0, SUM, took(1))
    assert segments.rows("j", 1, TASK) == [SegmentRow(FIRST, SUM, took(1))]


def test_a_table_that_is_not_there_is_told(segments: SegmentTable) -> None:
    with pytest.raises(ClientError, match="ResourceNotFound"):
        replace(segments, name="nowhere").put("j", 1, TASK, FIRST, 0, None, took(1))
