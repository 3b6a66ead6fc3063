"""Bytes and sorted records that outlast an invocation, in memory that does not grow with them."""

from __future__ import annotations

import random

import pytest

from sluiceway import pieces
from sluiceway.pieces import Pieces, SortedRecords
from sluiceway.sink.storage import list_keys
from sluiceway.wiring import Services
from tests.adapters.handlers.conftest import deployment, settings
from tests.support.deployment import Deployment

__all__ = ["deployment", "settings"]
KIB = 1024


@pytest.fixture
def services(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 64 * KIB)
    monkeypatch.setattr(pieces, "RUN_RECORDS", 1000)
    monkeypatch.setattr(pieces, "MERGE_BYTES", 4 * KIB)
    return deployment.services


def keys(services: Services) -> list[str]:
    return list(list_keys(services.s3, services.config.jobs_bucket, "work/"))


def test_what_was_not_saved_costs_no_request(services: Services) -> None:
    written = Pieces(services, "work/1/", "list")
    written.write(b"one\n")
    written.write(b"two")
    assert (b"".join(written.read()), written.size, keys(services)) == (b"one\ntwo", 7, [])
    assert list(written.stream()) == [b"one\n", b"two"]


def test_pieces_go_on_in_another_instance_any_number_of_times(services: Services) -> None:
    whole, saved = b"", []
    for number in range(7):
        written = Pieces(services, f"work/{number}/", "list", saved)
        for n in range(number * 40):
            written.write(line := f"{number} {n} {'x' * 300}\n".encode())
            whole += line
        saved = written.save()
        # Another, begun from the same, which died before it was heard of.
        Pieces(services, f"work/{number}-dead/", "list", saved).write(b"y" * 70 * KIB)
    assert b"".join(Pieces(services, "work/9/", "list", saved).read()) == whole
    assert list(Pieces(services, "work/9/", "list", saved).stream()) == whole.splitlines(keepends=True)
    assert all(size <= 65 * KIB for _, size in saved)


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 4321])
def test_records_come_back_sorted_whatever_was_saved_between(services: Services, count: int) -> None:
    chance = random.Random(count)
    records = [chance.randbytes(9) for _ in range(count)]
    saved: list[tuple[str, int]] = []
    for number, begin in enumerate(range(0, count, 1500)):
        kept = SortedRecords(services, f"work/{number}/", "ids", 9, saved)
        for record in records[begin : begin + 1500]:
            kept.add(record)
        saved = kept.save()
    assert all(size <= 1000 * 9 for _, size in saved)
    assert list(SortedRecords(services, "work/x/", "ids", 9, saved).merged()) == sorted(records)
