"""Staged files of which S3 wants every part again when they are to become visible: 409 to their completion."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from sluiceway.jobs.states import FileState
from sluiceway.landing.relaying import TimeLeft
from tests.adapters.handlers.conflicts import refuse_completions
from tests.adapters.handlers.long_lists import looks
from tests.support.deployment import Deployment
from tests.support.source import Body, Reply, Request, SourceServer

JOB = "again"
MIB = 1024**2
BODIES = {name: Body(1000 + n, seed=n) for n, name in enumerate("abcde")}


@pytest.fixture
def settings() -> dict[str, str]:
    return {"part_mib": "5"}


@pytest.fixture(autouse=True)
def files(source: SourceServer) -> None:
    source.replies |= {f"/{name}": Reply(body) for name, body in BODIES.items()}


def staged(deployment: Deployment, source: SourceServer, names: Iterable[str] = BODIES) -> dict[str, str]:
    """A job after its TransferFiles."""
    listed = {"type": "urls", "files": [source.url(f"/{name}") for name in names]}
    document = {"job_id": JOB, "source": listed, "commit": "all-or-nothing", "destination": {"if_exists": "never"}}
    return deployment.transfer(document)


def landed(names: Iterable[str] = BODIES) -> dict[str, bytes]:
    return {name: BODIES[name].read() for name in names}


def report(deployment: Deployment) -> dict[str, dict[str, object]]:
    return {line["key"]: line for line in deployment.lines(JOB, "report.jsonl")}


def test_they_are_sent_again_and_only_they(deployment: Deployment, source: SourceServer) -> None:
    owner = staged(deployment, source)
    refuse_completions(deployment, 1, "b")
    refuse_completions(deployment, 1, "d")

    committed = deployment.commit(owner)

    assert (deployment.landed(), deployment.unfinished_uploads()) == (landed("ace"), [])
    assert deployment.files.counts(JOB, 1).send_again == 2
    deployment.send_again(owner, committed)
    answer = deployment.invoke("complete_job", owner)
    assert (answer["status"], answer["files"]["stored"]) == ("COMPLETED", 5)
    assert deployment.landed() == landed()
    assert sorted(source.paths()) == sorted([*map("/{}".format, BODIES), "/b", "/d"])
    line = report(deployment)["b"]
    assert (line["status"], line["error"], line["relays"]) == ("STORED", None, 1)


def test_measures_are_of_both_goes(deployment: Deployment, source: SourceServer) -> None:
    owner = staged(deployment, source, "a")
    (task,) = deployment.tasks(JOB)
    (before,) = deployment.files.staged(JOB, 1, [task]).values()
    refuse_completions(deployment, 1)

    deployment.send_again(owner, deployment.commit(owner))

    (after,) = deployment.files.results(JOB, 1, [task]).values()
    assert (after.state, after.bytes, after.digests) == (FileState.STORED, before.bytes, before.digests)
    for name in ("seconds", "source_wait_seconds", "sink_wait_seconds"):
        assert getattr(after, name) > getattr(before, name) > 0


def test_once(deployment: Deployment, source: SourceServer) -> None:
    # Of several parts: a file that fits one needs no completion the second time.
    source.replies["/b"] = Reply(Body(6 * MIB))
    owner = staged(deployment, source, "ab")
    refuse_completions(deployment, 2, "b")

    deployment.send_again(owner, deployment.commit(owner))

    assert deployment.invoke("complete_job", owner)["status"] == "FAILED"
    assert (deployment.landed(), deployment.unfinished_uploads()) == (landed("a"), [])
    assert report(deployment)["b"]["error"]["type"] == "SendAgainError"  # type: ignore[index]
    assert source.paths().count("/b") == 2


def test_who_was_there_first_is_left_alone(deployment: Deployment, source: SourceServer) -> None:
    owner = staged(deployment, source, "ab")
    refuse_completions(deployment, 1, "b")
    committed = deployment.commit(owner)
    deployment.client("s3").put_object(Bucket=deployment.landing_bucket, Key="b", Body=b"of somebody else")

    deployment.send_again(owner, committed)

    answer = deployment.invoke("complete_job", owner)
    assert (answer["status"], answer["files"]["skipped"]) == ("COMPLETED", 1)
    assert deployment.landed()["b"] == b"of somebody else"


def test_a_commit_of_many_invocations_forgets_none(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = staged(deployment, source)
    monkeypatch.setattr("sluiceway.steps.committing.BATCH_KEYS", 2)
    for name in "abe":
        refuse_completions(deployment, 1, name)

    answers, event = list[str](), dict[str, object](owner)
    while event.get("action", "CONTINUE") == "CONTINUE":
        with monkeypatch.context() as patch:
            # One look before each block and one before each of its staged files.
            patch.setattr(TimeLeft, "of", lambda _: looks(3))
            # Each is repeated, as after a crash before its answer arrived; the second answer counts.
            deployment.invoke("commit_files", event)
            event = deployment.invoke("commit_files", event)
        answers.append(str(event["action"]))

    assert answers == ["CONTINUE", "SEND_AGAIN"]
    units = json.loads(deployment.read(str(event["units_key"])))
    assert len(units) == 3
    deployment.send_again(owner, event)
    assert deployment.invoke("complete_job", owner)["status"] == "COMPLETED"
    assert deployment.landed() == landed()


def test_a_job_that_ends_meanwhile_says_why_they_are_missing(deployment: Deployment, source: SourceServer) -> None:
    owner = staged(deployment, source, "ab")
    refuse_completions(deployment, 1, "b")
    deployment.commit(owner)

    answer = deployment.invoke("complete_job", {**owner, "error": {"Error": "States.Runtime", "Cause": "broken"}})

    assert (answer["status"], answer["files"]["stored"], answer["files"]["failed"]) == ("FAILED", 1, 1)
    assert report(deployment)["b"]["error"]["type"] == "SendAgainError"  # type: ignore[index]


def test_a_job_that_is_cancelled_meanwhile_sends_nothing_again(deployment: Deployment, source: SourceServer) -> None:
    owner = staged(deployment, source, "ab")
    refuse_completions(deployment, 1, "b")
    committed = deployment.commit(owner)
    deployment.jobs.request_cancel(JOB)

    deployment.send_again(owner, committed)

    assert deployment.invoke("complete_job", owner)["status"] == "CANCELLED"
    assert report(deployment)["b"]["status"] == "CANCELLED"
    assert source.paths().count("/b") == 1


def test_links_that_have_died_by_then_are_renewed(deployment: Deployment, source: SourceServer) -> None:
    lists = 0

    def listing(_: Request) -> Reply:
        nonlocal lists
        lists += 1
        files = [{"href": source.url(f"/{name}?sig={lists}"), "name": name} for name in "ab"]
        return Reply(json.dumps({"state": "DONE", "files": files}).encode())

    def asked() -> list[str]:
        return [request.path for request in source.requests]

    def good_once(request: Request) -> Reply:
        """Each link works for one request."""
        return Reply(BODIES["b"]) if asked().count(request.path) == 1 else Reply(b"", 403)

    source.replies |= {"/exports": Reply(b"{}"), "/exports/1": listing, "/b": good_once}
    described = {
        "type": "http",
        "start": {"url": source.url("/exports")},
        "poll": {"url": source.url("/exports/1"), "status": "state", "status_mapping": {"completed": ["DONE"]}},
        "files": {"list": "files", "url": "href", "key": "name"},
    }
    refuse_completions(deployment, 1, "b")

    answer = deployment.run(
        {"job_id": JOB, "source": described, "commit": "all-or-nothing", "destination": {"if_exists": "never"}}
    )

    assert (answer["status"], lists) == ("COMPLETED", 2)
    assert deployment.landed() == landed("ab")
