"""A source that asks for patience gets it from the whole job, and no more files at once than agreed."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sluiceway.aws.slots import Slot, SlotTable
from sluiceway.aws.table import JobTable
from sluiceway.jobs.files import FileTask
from sluiceway.landing.relaying import TimeLeft
from sluiceway.source.retry import RetryBudget
from sluiceway.steps import fairness
from sluiceway.steps.fairness import NotNow, Patience
from tests.support.deployment import Deployment
from tests.support.source import Body, Reply, Request, SourceServer
from tests.support.waiting import wait_until


def document(source: SourceServer, count: int, **limits: int) -> dict[str, object]:
    files = [{"url": source.url(f"/{n}"), "size": 100} for n in range(count)]
    return {"job_id": "fair", "source": {"type": "urls", "files": files}, "limits": limits}


@pytest.mark.parametrize(("limits", "most"), [({}, 100), ({"max_concurrency": 7}, 7), ({"max_concurrency": 5000}, 100)])
def test_a_job_that_asks_for_more_files_at_once_than_the_setting_gets_the_setting(
    deployment: Deployment, source: SourceServer, limits: dict[str, int], most: int
) -> None:
    execution = deployment.new_execution()
    deployment.start(document(source, 1, **limits), execution)
    answer = deployment.invoke("dispatch_files", {"job_id": "fair", "execution": execution})
    assert answer["max_concurrency"] == most


def test_no_more_files_of_a_host_are_asked_for_at_once_than_the_job_allows(
    deployment: Deployment, source: SourceServer
) -> None:
    lock, now, most = threading.Lock(), 0, 0
    crowd = threading.Event()

    def answer(_: Request) -> Reply:
        nonlocal now, most
        with lock:
            now, most = now + 1, max(most, now + 1)
            if now > 2:
                crowd.set()
        crowd.wait(0.2)  # long enough for a third to come, if one does
        with lock:
            now -= 1
        return Reply(Body(100))

    source.replies |= {f"/{n}": answer for n in range(8)}

    assert deployment.run(document(source, 8, max_concurrency_per_host=2))["files"]["stored"] == 8
    assert most == 2
    assert not [row for row in deployment.rows() if row["sk"]["S"].startswith("SLOT#")]


def test_a_hosts_plea_reaches_the_functions_that_work_on_other_files(
    deployment: Deployment, source: SourceServer
) -> None:
    pleas = [Reply(b"", 429, {"Retry-After": "60"})]
    source.replies |= {"/0": lambda _: pleas.pop() if pleas else Reply(Body(100))}
    deployment.movers.source.budget = RetryBudget(sleep=lambda _: None)

    assert deployment.run(document(source, 1))["files"]["stored"] == 1

    until = (deployment.jobs.get("fair").patience or {})["127.0.0.1"]
    assert time.time() + 30 < until <= time.time() + 60


@pytest.mark.parametrize("known_from", ["row", "this function"])
def test_a_file_waits_until_its_host_may_be_asked(
    deployment: Deployment, source: SourceServer, known_from: str
) -> None:
    source.replies |= {"/0": Reply(Body(100))}
    owner = deployment.transfer(document(source, 1))
    until = time.time() + 0.3
    patience = Patience(deployment.services, owner["job_id"], None, TimeLeft.of(60_000))
    if known_from == "row":
        patience.asked = {"127.0.0.1": until}
    else:
        deployment.services.source.asked_to_wait["127.0.0.1"] = until
        patience.tell(None)

    (task,) = deployment.tasks("fair")
    with patience.turn(task):
        assert time.time() >= until


HOST = "127.0.0.1"


def waiting(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> tuple[Patience, list[float]]:
    """The patience of a function whose job allows one file of the host at once, and when it has looked for a slot."""
    owner, looks = deployment.transfer(document(source, 4, max_concurrency_per_host=1)), list[float]()
    take = SlotTable.take

    def counted(*arguments: Any) -> Slot | None:
        looks.append(time.monotonic())
        return take(*arguments)

    monkeypatch.setattr(SlotTable, "take", counted)
    return Patience(deployment.services, owner["job_id"], 1, TimeLeft.of(60_000)), looks


def test_of_the_files_that_wait_for_a_slot_one_looks_for_it_and_less_and_less_often(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience, looks = waiting(deployment, source, monkeypatch)
    other = deployment.services.slots.take("fair", HOST, 1, "another function")
    assert other is not None
    monkeypatch.setattr(fairness, "LOOK_SECONDS", 0.1)
    moved = list[str]()

    def move(task: FileTask) -> None:
        with patience.turn(task):
            moved.append(task.key)

    with ThreadPoolExecutor(4) as pool:
        files = [pool.submit(move, task) for task in deployment.tasks("fair")]
        time.sleep(1)
        assert (moved, len(looks) <= 1 + 7) == ([], True), looks
        deployment.services.slots.give_back("fair", other)
    assert [file.exception() for file in files] == [None] * 4
    assert len(moved) == 4


def test_a_slot_that_this_function_gives_back_is_taken_at_once(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience, looks = waiting(deployment, source, monkeypatch)
    monkeypatch.setattr(fairness, "LOOK_SECONDS", 30.0)
    first, second, *_ = deployment.tasks("fair")

    def move(task: FileTask) -> float:
        with patience.turn(task):
            return time.monotonic()

    with ThreadPoolExecutor(1) as pool:
        with patience.turn(first):
            file = pool.submit(move, second)
            wait_until(lambda: len(looks) == 2)
        given_back = time.monotonic()
        assert file.result() < given_back + 5


def test_a_file_that_waits_for_a_slot_gives_up_when_time_runs_out(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience, _ = waiting(deployment, source, monkeypatch)
    monkeypatch.setattr(fairness, "LOOK_SECONDS", 0.1)
    deployment.services.slots.take("fair", HOST, 1, "another function")

    def move(task: FileTask) -> None:
        with patience.turn(task):
            raise AssertionError("had a turn")

    with ThreadPoolExecutor(4) as pool:
        files = [pool.submit(move, task) for task in deployment.tasks("fair")]
        patience.time_left.end_now()
        assert {type(file.exception()) for file in files} == {NotNow}


def test_of_two_pleas_of_a_host_the_later_one_stands(deployment: Deployment, source: SourceServer) -> None:
    owner = deployment.transfer(document(source, 1))
    now, heard = time.time(), deployment.services.source.asked_to_wait
    early, late = (Patience(deployment.services, owner["job_id"], None, TimeLeft.of(60_000)) for _ in range(2))
    heard[HOST] = now + 120
    late.tell(None)
    # Another function, which has heard less and not yet looked at the job.
    heard[HOST] = now + 20
    early.tell(None)
    assert deployment.jobs.get("fair").patience == {HOST: now + 120}

    early.tell(deployment.jobs.get("fair"))
    assert early.asked == {HOST: now + 120}
    late.tell(None)
    assert late.asked == {HOST: now + 120}


def test_what_a_warm_process_heard_long_ago_is_not_told(deployment: Deployment, source: SourceServer) -> None:
    owner = deployment.transfer(document(source, 1))
    deployment.services.source.asked_to_wait[HOST] = time.time() - 3600
    patience = Patience(deployment.services, owner["job_id"], None, TimeLeft.of(60_000))

    patience.tell(deployment.jobs.get("fair"))

    assert (patience.asked, deployment.jobs.get("fair").patience) == ({}, {})


def test_a_plea_is_told_once(deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, told = deployment.transfer(document(source, 1)), list[float]()
    monkeypatch.setattr(JobTable, "ask_patience", lambda _table, _job_id, _host, until: told.append(until))
    deployment.services.source.asked_to_wait[HOST] = until = time.time() + 60
    patience = Patience(deployment.services, owner["job_id"], None, TimeLeft.of(60_000))

    for _ in range(2):
        patience.tell(deployment.jobs.get("fair"))

    assert told == [until]
