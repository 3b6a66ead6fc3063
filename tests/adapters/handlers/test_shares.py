"""What each of the files that a function moves at a time may take of it: memory, cores, uploaders."""

from __future__ import annotations

from typing import Any

import pytest

from sluiceway.aws.rows import JobRow
from sluiceway.config import Config
from sluiceway.jobs.states import JobState
from sluiceway.landing.options import Options
from sluiceway.steps.tools import options_of
from sluiceway.transfer.plan import BUFFER_SHARE, plan_parts
from sluiceway.wiring import Services

MIB = 1024**2
JOB = JobRow(
    "job", JobState.TRANSFERRING, 1, "execution", "", "", "",
    {"if_exists": "overwrite", "storage_class": None, "kms_key_id": None, "tags": {}, "metadata": {}},
    {"max_file_bytes": 1},
)  # fmt: skip


def options(memory_mb: int, threads: int, **settings: Any) -> Options:
    config = Config("jobs", "jobs", "bus", "landing", memory_mb * MIB, **settings)
    return options_of(Services(config), JOB, threads)


@pytest.mark.parametrize(
    ("memory_mb", "threads", "cores"),
    # Lambda shows every one of these functions two cores or more.
    [(512, 1, 0), (1768, 1, 0), (1769, 1, 1), (3538, 1, 2), (10_240, 1, 5), (10_240, 2, 2), (10_240, 8, 0)],
)
def test_a_file_has_the_whole_cores_that_the_functions_memory_buys(memory_mb: int, threads: int, cores: int) -> None:
    assert options(memory_mb, threads).cores == cores


@pytest.mark.parametrize(("threads", "share"), [(1, 3 * 51 * MIB), (2, 152 * MIB), (8, 144 * MIB)])
def test_the_part_buffers_of_all_files_at_a_time_stay_within_their_share_of_memory(threads: int, share: int) -> None:
    """Also where sources send more than a list says, and each file fills its buffers."""
    given = options(512, threads, part_bytes=51 * MIB)
    plan = plan_parts(None, memory_bytes=given.memory_bytes, uploaders=given.uploaders, part_bytes=given.part_bytes)
    assert threads * (given.uploaders + 1) * plan.part_bytes == share <= 512 * MIB * BUFFER_SHARE
