"""What each of the files that a function moves at a time may take of it: memory, cores, uploaders."""

from __future__ import annotations

import pytest

from sluiceway.aws.rows import JobRow
from sluiceway.config import Config
from sluiceway.jobs.states import JobState
from sluiceway.landing.options import Options
from sluiceway.steps.tools import options_of
from sluiceway.wiring import Services

MIB = 1024**2
JOB = JobRow(
    "job", JobState.TRANSFERRING, 1, "execution", "", "", "",
    {"if_exists": "overwrite", "storage_class": None, "kms_key_id": None, "tags": {}, "metadata": {}},
    {"max_file_bytes": 1},
)  # fmt: skip


def options(memory_mb: int, threads: int) -> Options:
    config = Config("jobs", "jobs", "bus", "landing", memory_mb * MIB)
    return options_of(Services(config), JOB, threads)


@pytest.mark.parametrize(
    ("memory_mb", "threads", "cores"),
    # Lambda shows every one of these functions two cores or more.
    [(512, 1, 0), (1768, 1, 0), (1769, 1, 1), (3538, 1, 2), (10_240, 1, 5), (10_240, 2, 2), (10_240, 8, 0)],
)
def test_a_file_has_the_whole_cores_that_the_functions_memory_buys(memory_mb: int, threads: int, cores: int) -> None:
    assert options(memory_mb, threads).cores == cores
