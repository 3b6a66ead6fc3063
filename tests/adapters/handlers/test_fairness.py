"""A source that asks for patience gets it from the whole job, and no more files at once than agreed."""

from __future__ import annotations

import threading
import time

import pytest

from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps.fairness import Patience
from tests.support.deployment import Deployment
from tests.support.source import Body, Reply, Request, SourceServer


def document(source: SourceServer, count: int, **limits: int) -> dict[str, object]:
    files = [{"url": source.url(f"/{n}"), "size": 100} for n in range(count)]
    return {"job_id": "fair", "source": {"type": "urls", "files": files}, "limits": limits}


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
    pleas = [Reply(b"", 429, {"Retry-After": "1"})]
    source.replies |= {"/0": lambda _: pleas.pop() if pleas else Reply(Body(100))}

    assert deployment.run(document(source, 1))["files"]["stored"] == 1

    until = (deployment.jobs.get("fair").patience or {})["127.0.0.1"]
    assert until <= time.time() + 1


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
