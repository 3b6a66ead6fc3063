"""The same unit invoked twice at the same moment, in the order that would lose the object: the worse end first."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sluiceway.jobs.counts import Counts
from sluiceway.jobs.states import FileState
from sluiceway.steps.gates import past_failures
from tests.adapters.handlers.twins import (
    JOB,
    PATIENCE_SECONDS,
    Twins,
    counts_of_the_report,
    dispatched,
    ends_told,
    twins_of,
)
from tests.support.deployment import Deployment
from tests.support.source import Body, Reply, Request, SourceServer, one_after_the_other
from tests.support.waiting import wait_until

MIB = 1024**2
BODY = Body(1000)
FORBIDDEN = Reply(b"this link was for once", 403)


@pytest.fixture
def settings() -> dict[str, str]:
    return {"part_mib": "5", "split_bytes": str(5 * MIB)}


@pytest.fixture
def twins(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twins]:
    with twins_of(deployment, monkeypatch) as twins:
        yield twins


@dataclass(frozen=True)
class Case:
    """How the two come to different ends: `arrange` answers with the entry of the file; `other` is the end beside
    STORED; of those with `second_when_reached` the second begins when the first has stored its object."""

    other: FileState
    arrange: Callable[[Twins, SourceServer], object]
    if_exists: str = "overwrite"
    size: int = BODY.size
    second_when_reached: bool = False


def one_time_link(_: Twins, source: SourceServer) -> object:
    source.replies["/a.bin"] = one_after_the_other(Reply(BODY), FORBIDDEN)
    return source.url("/a.bin")


def another_body(_: Twins, source: SourceServer) -> object:
    source.replies["/a.bin"] = one_after_the_other(Reply(BODY), Reply(Body(BODY.size, seed=1)))
    return {"url": source.url("/a.bin"), "sha256": BODY.digest()}


def overtaken(twins: Twins, source: SourceServer) -> object:
    """The first has begun its upload, and goes on only when the second's object is complete."""
    overtaking = threading.Event()

    class Slow(Body):
        def blocks(self) -> Iterator[bytes]:
            for n, block in enumerate(super().blocks()):
                if n == 7 * MIB // len(block):
                    overtaking.set()
                    assert twins.reached.wait(PATIENCE_SECONDS)
                yield block

    def second() -> Reply:
        assert overtaking.wait(PATIENCE_SECONDS)
        wait_until(lambda: twins.deployment.unfinished_uploads() == ["a.bin"])
        return Reply(Body(12 * MIB))

    requests: list[Request] = []

    def answer(request: Request) -> Reply:
        requests.append(request)
        return Reply(Slow(12 * MIB)) if len(requests) == 1 else second()

    source.replies["/a.bin"] = answer
    return source.url("/a.bin")


def both_saw_nothing(_: Twins, source: SourceServer) -> object:
    gate = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def together(_: Request) -> Reply:
        gate.wait()
        return Reply(BODY)

    source.replies["/a.bin"] = together
    return source.url("/a.bin")


def simple(_: Twins, source: SourceServer) -> object:
    source.replies["/a.bin"] = Reply(BODY)
    return source.url("/a.bin")


CASES = {
    "a link for once": Case(FileState.FAILED, one_time_link),
    "another body": Case(FileState.REJECTED, another_body),
    "overtaken": Case(FileState.SKIPPED, overtaken, size=12 * MIB),
    "never, both saw nothing": Case(FileState.SKIPPED, both_saw_nothing, if_exists="never"),
    "never, one saw the other's": Case(FileState.SKIPPED, simple, if_exists="never", second_when_reached=True),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_object_that_stands_is_stored_though_the_other_end_came_first(
    deployment: Deployment, twins: Twins, source: SourceServer, case: Case
) -> None:
    twins.held_back = FileState.STORED
    owner, event = dispatched(deployment, case.arrange(twins, source), destination={"if_exists": case.if_exists})

    answers = twins.invoke("process_file", event, second_when_reached=case.second_when_reached)
    counts = deployment.files.counts(JOB, 1)
    ended = deployment.invoke("complete_job", owner)

    assert answers == [{"action": "DONE"}] * 2
    assert (ended["status"], ended["files"]["stored"], sum(ended["files"].values())) == ("COMPLETED", 1, 1)
    assert counts == deployment.files.counts(JOB, 1) == counts_of_the_report(deployment)
    assert counts == Counts(stored=1, bytes=case.size)
    (line,) = deployment.lines(JOB, "report.jsonl")
    assert (line["status"], line["overruled"], line["error"]) == ("STORED", case.other, None)
    assert str(case.other) in line["reason"]
    assert deployment.landed() == {"a.bin": Body(case.size).read()}
    assert deployment.unfinished_uploads() == []
    # By default a file that was SKIPPED or STORED is not told of; who was told of a failure hears of the correction.
    assert ends_told(deployment) == ([] if case.other is FileState.SKIPPED else [case.other, "STORED"])


@pytest.mark.parametrize("case", [CASES["a link for once"], CASES["another body"]], ids=["FAILED", "REJECTED"])
def test_a_file_that_is_stored_stays_so(deployment: Deployment, twins: Twins, source: SourceServer, case: Case) -> None:
    twins.held_back = case.other
    owner, event = dispatched(deployment, case.arrange(twins, source))

    twins.invoke("process_file", event)
    ended = deployment.invoke("complete_job", owner)

    assert (ended["status"], ended["files"]["stored"]) == ("COMPLETED", 1)
    assert deployment.files.counts(JOB, 1) == counts_of_the_report(deployment) == Counts(stored=1, bytes=BODY.size)
    (line,) = deployment.lines(JOB, "report.jsonl")
    assert (line["status"], line["overruled"]) == ("STORED", None)
    assert ends_told(deployment) == []


def test_a_job_that_has_counted_its_files_keeps_the_end_and_the_log_says_so(
    deployment: Deployment, twins: Twins, source: SourceServer, caplog: pytest.LogCaptureFixture
) -> None:
    owner, event = dispatched(deployment, one_time_link(twins, source))
    answers: list[Any] = []
    twins.held_back = FileState.STORED
    slow = twins.start("process_file", event, answers)
    assert twins.reached.wait(PATIENCE_SECONDS)
    # The end that is held back stays so while the other is written.
    twins.after = lambda _: None  # type: ignore[method-assign]
    deployment.invoke("process_file", event)
    ended = deployment.invoke("complete_job", owner)
    with caplog.at_level(logging.WARNING):
        twins.released.set()
        slow.join(PATIENCE_SECONDS)

    assert answers == [{"action": "DONE"}]
    assert (ended["status"], ended["files"]["failed"]) == ("FAILED", 1)
    assert deployment.files.counts(JOB, 1) == counts_of_the_report(deployment) == Counts(failed=1)
    assert ends_told(deployment) == ["FAILED"]
    (said,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert said.startswith(f"job {JOB}: s3://") and "/a.bin is STORED now" in said and said.endswith("stays FAILED")


def test_the_failure_limit_counts_what_stands(deployment: Deployment, twins: Twins, source: SourceServer) -> None:
    twins.held_back = FileState.STORED
    owner, event = dispatched(deployment, one_time_link(twins, source), limits={"failed_files_percent": 0})
    answers: list[Any] = []
    slow = twins.start("process_file", event, answers)
    assert twins.reached.wait(PATIENCE_SECONDS)
    release, twins.released = twins.released, threading.Event()
    deployment.invoke("process_file", event)
    assert past_failures(deployment.services, deployment.jobs.get(JOB))

    release.set()
    slow.join(PATIENCE_SECONDS)

    assert not past_failures(deployment.services, deployment.jobs.get(JOB))
    assert deployment.invoke("complete_job", owner)["status"] == "COMPLETED"


def test_every_file_of_a_batch_is_stored_by_one_of_the_two(
    deployment: Deployment, twins: Twins, source: SourceServer
) -> None:
    names = [f"/{n}.bin" for n in range(24)]
    for name in names:
        source.replies[name] = one_after_the_other(Reply(BODY), FORBIDDEN)
    owner, event = dispatched(deployment, *({"url": source.url(name), "size": BODY.size} for name in names))

    twins.invoke("process_file", event)
    ended = deployment.invoke("complete_job", owner)

    assert (ended["status"], ended["files"]["stored"], sum(ended["files"].values())) == ("COMPLETED", 24, 24)
    assert deployment.files.counts(JOB, 1) == counts_of_the_report(deployment)
    assert counts_of_the_report(deployment) == Counts(stored=24, bytes=24 * BODY.size)


@pytest.mark.parametrize("held_back", [FileState.STAGED, FileState.FAILED])
def test_a_staged_file_lands_whichever_end_comes_first(
    deployment: Deployment, twins: Twins, source: SourceServer, held_back: FileState
) -> None:
    twins.held_back = held_back
    owner, event = dispatched(deployment, one_time_link(twins, source), commit="all-or-nothing")

    twins.invoke("process_file", event)
    twins.held_back = None
    deployment.invoke("commit_files", owner)
    ended = deployment.invoke("complete_job", owner)

    assert (ended["status"], ended["files"]["stored"], sum(ended["files"].values())) == ("COMPLETED", 1, 1)
    assert deployment.landed() == {"a.bin": BODY.read()}
    assert deployment.unfinished_uploads() == []
    counts = deployment.files.counts(JOB, 1)
    assert counts == Counts(stored=1, staged=1, bytes=BODY.size)
    assert ends_told(deployment) == (["FAILED", "STORED"] if held_back is FileState.STAGED else [])


def test_of_two_stagings_one_is_left(deployment: Deployment, twins: Twins, source: SourceServer) -> None:
    owner, event = dispatched(deployment, both_saw_nothing(twins, source), commit="all-or-nothing")

    twins.invoke("process_file", event)

    assert deployment.unfinished_uploads() == ["a.bin"]
    deployment.invoke("commit_files", owner)
    assert deployment.invoke("complete_job", owner)["status"] == "COMPLETED"
    assert deployment.landed() == {"a.bin": BODY.read()}
    assert deployment.unfinished_uploads() == []
