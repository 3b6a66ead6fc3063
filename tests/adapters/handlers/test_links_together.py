"""Jobs that land all of their files or none, some of whose links expire before their files are staged."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sluiceway.job_files import tasks_of
from sluiceway.jobs.units import Unit
from tests.support.deployment import Deployment
from tests.support.source import Body, Reply, Request, SourceServer

JOB = "together"
BODIES = {"a": Body(1000, seed=1), "b": Body(2000, seed=2)}


@pytest.fixture
def lists(source: SourceServer) -> list[int]:
    """A number for each time the API was asked for its list, with which it signs the links. All are good but the first
    one of b."""
    given: list[int] = []

    def listing(_: Request) -> Reply:
        given.append(len(given) + 1)
        files = [{"href": source.url(f"/{name}?sig={given[-1]}"), "name": name} for name in BODIES]
        return Reply(json.dumps({"state": "DONE", "files": files}).encode())

    source.replies |= {"/exports": Reply(b"{}"), "/exports/1": listing, "/a": Reply(BODIES["a"])}
    source.replies["/b"] = good_from(2)
    return given


def good_from(first: int) -> Callable[[Request], Reply]:
    return lambda request: Reply(BODIES["b"]) if int(request.path.rpartition("=")[2]) >= first else Reply(b"", 403)


def document(source: SourceServer, **more: object) -> dict[str, object]:
    described = {
        "type": "http",
        "start": {"url": source.url("/exports")},
        "poll": {"url": source.url("/exports/1"), "status": "state", "status_mapping": {"completed": ["DONE"]}},
        "files": {"list": "files", "url": "href", "key": "name"},
    }
    return {"job_id": JOB, "source": described, "commit": "all-or-nothing", **more}


def staged(deployment: Deployment, source: SourceServer, last: str = "b") -> dict[str, str]:
    """A job after its TransferFiles: a is staged, the link of b has expired."""
    execution = deployment.new_execution()
    owner = {"job_id": JOB, "execution": execution}
    deployment.start(document(source), execution)
    deployment.invoke("poll_export", owner)
    move(deployment, owner, last)
    return owner


def move(deployment: Deployment, owner: dict[str, str], last: str = "b") -> int:
    """Answers with the number of units."""
    state = deployment.invoke("dispatch_files", owner)
    units = json.loads(deployment.read(state["units_key"]))
    for unit in sorted(
        units, key=lambda unit: [task.key for task in tasks_of(deployment.services, Unit(**unit))] == [last]
    ):
        deployment.process(owner, unit)
    return len(units)


def test_nothing_is_decided_while_a_file_waits_for_a_fresh_link(
    deployment: Deployment, source: SourceServer, lists: list[int]
) -> None:
    owner = staged(deployment, source)

    assert deployment.commit(owner)["action"] == "DONE"

    assert deployment.jobs.get(JOB).decision is None
    assert (deployment.landed(), deployment.unfinished_uploads()) == ({}, ["a"])
    assert deployment.invoke("complete_job", owner)["status"] == "EXPORTING"
    deployment.invoke("poll_export", owner)
    assert move(deployment, owner) == 1
    deployment.commit(owner)
    assert deployment.jobs.get(JOB).decision == "commit"
    assert deployment.invoke("complete_job", owner)["status"] == "COMPLETED"
    assert deployment.landed() == {name: body.read() for name, body in BODIES.items()}
    assert source.paths().count("/a") == 1


def test_links_that_never_work_land_nothing_in_the_end(
    deployment: Deployment, source: SourceServer, lists: list[int]
) -> None:
    source.replies["/b"] = good_from(99)

    answer = deployment.run(document(source))

    assert (answer["status"], len(lists)) == ("FAILED", 4)
    assert (deployment.landed(), deployment.unfinished_uploads()) == ({}, [])


def test_a_job_that_has_failed_already_asks_for_no_more_links(
    deployment: Deployment, source: SourceServer, lists: list[int]
) -> None:
    def dies_with_b(_: Request) -> Reply:
        """By then the link of b has been refused: past the first failure no other file begins."""
        assert "/b" in source.paths()
        return Reply(b"", 404)

    source.replies["/a"] = dies_with_b
    owner = staged(deployment, source, last="a")

    deployment.commit(owner)

    answer = deployment.invoke("complete_job", owner)
    assert (answer["status"], len(lists)) == ("FAILED", 1)
    assert (answer["files"]["failed"], answer["files"]["cancelled"]) == (1, 1)
    assert (deployment.landed(), deployment.unfinished_uploads()) == ({}, [])


def test_a_job_that_was_cancelled_waits_for_no_link(
    deployment: Deployment, source: SourceServer, lists: list[int]
) -> None:
    owner = staged(deployment, source)
    deployment.jobs.request_cancel(JOB)

    deployment.commit(owner)

    assert deployment.jobs.get(JOB).decision == "abort"
    assert deployment.invoke("complete_job", owner)["status"] == "CANCELLED"
    assert (deployment.landed(), deployment.unfinished_uploads()) == ({}, [])


def test_a_job_that_was_decided_goes_back_for_no_link(
    deployment: Deployment, source: SourceServer, lists: list[int]
) -> None:
    owner = staged(deployment, source)
    deployment.jobs.decide(deployment.jobs.get(JOB), "abort")

    deployment.commit(owner)

    assert deployment.invoke("complete_job", owner)["status"] == "FAILED"
    assert (deployment.landed(), deployment.unfinished_uploads()) == ({}, [])
