"""What a job costs, by hand and by table, and that docs/cost.md shows what the function says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.cost import DOC, cheapest, per_tib, written
from infra.settings import Settings
from sluiceway.cost import Cost, Idle, Machine, Prices, idle_cost, job_cost, requests_of
from sluiceway.errors import PlanError
from sluiceway.transfer.plan import GIB, MIB

FREE = Prices(**dict.fromkeys(Prices.__dataclass_fields__, 0.0))
MACHINE = Machine()


def of_files(count: int, size: int, machine: Machine = MACHINE) -> Cost:
    """Without the job around them."""
    whole, around = job_cost([(count, size)], machine), job_cost([], machine)
    return Cost(*(getattr(whole, name) - getattr(around, name) for name in Cost.__dataclass_fields__))


@pytest.mark.parametrize(
    ("size", "machine", "requests"),
    [
        (0, MACHINE, 1),
        (10_000, MACHINE, 1),
        (51 * MIB, MACHINE, 1),
        (51 * MIB + 1, MACHINE, 2 + 2),
        (80 * MIB, replace(MACHINE, part_bytes=8 * MIB), 10 + 2),
        (5 * GIB, replace(MACHINE, memory_mb=1024), 51 + 2),
    ],
)
def test_a_file_is_one_request_or_its_parts_and_two_more(size: int, machine: Machine, requests: int) -> None:
    assert requests_of(size, machine) == requests


@pytest.mark.parametrize(
    ("count", "size", "units", "transitions"),
    [
        (1, GIB, 1, 3),
        (10, GIB, 10, 30),
        (200, 1000, 1, 3),
        (201, 1000, 2, 6),
        (128, MIB, 2, 6),  # 64 MiB fill a unit
        (1, 60 * GIB, 2, 5),  # a relay
    ],
)
def test_small_files_share_a_unit_and_long_ones_are_relayed(
    count: int, size: int, units: int, transitions: int
) -> None:
    cost = of_files(count, size)
    assert (cost.invocations, cost.transitions) == (units, transitions)


def test_a_file_of_five_gib_is_what_its_parts_make_by_hand() -> None:
    cost = of_files(1, 5 * GIB)
    seconds = 5 * GIB / 70e6 + 0.15 + 0.35
    assert cost.s3_requests == pytest.approx((101 + 2) * 0.005 / 1000, rel=0.01)
    assert cost.compute == pytest.approx(seconds * 0.5 * 0.0000133334 + 0.2e-6)
    assert cost.workflow == pytest.approx(3 * 0.000025)
    # Two rows in a transaction, seven of progress and its removal; sixteen looks, the unit's, and
    # the file's own before it begins and for the report.
    assert cost.table == pytest.approx((4 + 8) * 0.625e-6 + 19 * 0.125e-6, rel=0.01)


def test_the_narrower_of_network_and_cpu_sets_the_pace() -> None:
    assert MACHINE.rate == 70e6
    assert replace(MACHINE, memory_mb=128).rate == pytest.approx(128 / 1769 * GIB / 3.3)


@pytest.mark.parametrize("name", list(Prices.__dataclass_fields__))
def test_every_price_of_a_job_counts_once(name: str) -> None:
    if name in ("alarm_metric", "custom_metric", "dashboard"):
        assert job_cost([(10, GIB)], prices=replace(FREE, **{name: 1.0})).total == 0
        return
    once = job_cost([(10, GIB)], prices=replace(FREE, **{name: 1.0})).total
    assert job_cost([(10, GIB)], prices=replace(FREE, **{name: 2.0})).total == pytest.approx(2 * once) != 0


def test_the_parts_of_a_cost_sum_to_it() -> None:
    mixed = job_cost([(100, 1000), (3, GIB)])
    alone = job_cost([(100, 1000)]), job_cost([(3, GIB)]), job_cost([])
    assert mixed.total == pytest.approx(alone[0].total + alone[1].total - alone[2].total)


def test_what_s3_cannot_take_has_no_price() -> None:
    with pytest.raises(PlanError):
        job_cost([(1, 50 * 1024 * GIB)])


def test_no_files_cost_nothing_beside_the_job() -> None:
    assert job_cost([(0, GIB)]) == job_cost([])


def test_a_tib_of_large_files_costs_under_a_quarter_and_100_000_small_ones_under_a_dollar() -> None:
    assert per_tib(5 * GIB) < 0.25
    assert job_cost([(100_000, 10_000)]).total < 1


def test_the_default_settings_are_the_cheapest_of_the_table() -> None:
    machine, price = cheapest()
    defaults = Settings()
    assert (machine.memory_mb, machine.part_bytes) == (defaults.process_file_memory_mb, None)
    assert defaults.part_mib == "auto"
    assert price == per_tib(5 * GIB)


def test_the_machine_has_the_defaults_of_the_settings() -> None:
    defaults = Settings()
    assert (MACHINE.memory_mb, MACHINE.uploaders) == (defaults.process_file_memory_mb, defaults.uploaders)
    assert (MACHINE.batch_files, MACHINE.batch_bytes) == (defaults.batch_files, defaults.batch_bytes)
    assert (MACHINE.threads, MACHINE.timeout_seconds) == (
        defaults.batch_threads,
        defaults.process_file_timeout_seconds,
    )
    assert MACHINE.progress_seconds == defaults.progress_seconds


def test_the_document_shows_what_is_computed() -> None:
    text = DOC.read_text()
    assert text == written(text), "run `make cost`"


@pytest.mark.parametrize(
    ("idle", "is_first", "usd"),
    [
        (Idle(10, 50, 730, 0), True, 0.0),
        (Idle(18, 50, 0, 0), True, 0.80),
        (Idle(10, 51, 0, 0), True, 3.0),
        (Idle(10, 50, 730, 0), False, 1.0 + 3.0 + 0.30),
    ],
)
def test_what_cloudwatch_gives_away_is_given_once(idle: Idle, is_first: bool, usd: float) -> None:
    assert idle_cost(idle, is_first=is_first) == pytest.approx(usd)
