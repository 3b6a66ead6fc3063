"""Lists that outlast an invocation: read, judged and completed in many, to the same end as in one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from sluiceway.errors import CannotResumeError, DuplicateTargetError, InvalidJobError, ListChangedError, NoProgressError
from sluiceway.exports import blocks, manifest
from sluiceway.landing.relaying import TimeLeft
from sluiceway.steps import completing, dispatching
from sluiceway.steps import manifest as manifest_step
from sluiceway.steps.completing import complete_job
from sluiceway.steps.dispatching import dispatch_files
from tests.support.deployment import Deployment
from tests.support.source import Body, Reply, Request, SourceServer

JOB = "long"
OUTPUTS = ("report.jsonl", "failed.jsonl", "SHA256SUMS")
PLENTY = 10**9


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a list of a dozen files has as many cuts as one of a million."""
    monkeypatch.setattr(blocks, "BLOCK_ENTRIES", 3)
    monkeypatch.setattr(manifest, "BUFFER_BYTES", 200)
    monkeypatch.setattr(manifest_step, "BLOCK_FILES", 2)
    monkeypatch.setattr(completing, "BLOCK_FILES", 2)
    monkeypatch.setattr(dispatching, "BLOCK_FILES", 2)


def looks(number: int) -> TimeLeft:
    """Time that is over when it has been looked at `number` times."""
    return TimeLeft(number, count().__next__)


def begin(deployment: Deployment, document: dict[str, Any]) -> dict[str, str]:
    execution = deployment.new_execution()
    deployment.start(document, execution)
    return {"job_id": document["job_id"], "execution": execution}


def dispatch(deployment: Deployment, owner: dict[str, str], each: int, *, twice: bool = False) -> list[dict[str, Any]]:
    """Every answer of DispatchFiles until it is done, each invocation with `each` looks at the clock. `twice`: each is
    repeated with what it was given, as after a crash before its answer arrived; the second answer counts."""
    answers: list[dict[str, Any]] = [{}]
    while answers[-1].get("action", "CONTINUE") == "CONTINUE":
        key = answers[-1].get("draft_key")
        for _ in range(2 if twice else 1):
            answer = dispatch_files(deployment.services, owner["job_id"], owner["execution"], looks(each), key)
        assert len(json.dumps(answer)) < 1000
        answers.append(answer)
    return answers[1:]


def complete(deployment: Deployment, owner: dict[str, Any], each: int, *, twice: bool = False) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = [{**owner, "action": "CONTINUE"}]
    while answers[-1]["action"] == "CONTINUE":
        for _ in range(2 if twice else 1):
            answer = complete_job(deployment.services, answers[-1], looks(each))
        assert len(json.dumps(answer)) < 1000
        answers.append(answer)
    return answers[1:]


def objects(deployment: Deployment, job_id: str, *names: str) -> dict[str, bytes]:
    return {name: deployment.read(f"jobs/{job_id}/{name}").replace(job_id.encode(), b"JOB") for name in names}


def work(deployment: Deployment) -> list[str]:
    found = deployment.client("s3").list_objects_v2(Bucket=deployment.jobs_bucket).get("Contents", [])
    return [each["Key"] for each in found if "/work/" in each["Key"]]


def entries(source: SourceServer, number: int = 20) -> Iterator[dict[str, Any]]:
    """Files of every kind: small, large, and of unknown size."""
    sizes = (10, None, 70_000_000, 30, 90_000_000)
    for n in range(number):
        size = sizes[n % len(sizes)]
        yield {"url": source.url(f"/f{n}?sig=s3cret"), "key": f"f{n:02}"} | ({"size": size} if size else {})


def listed(source: SourceServer, job_id: str, **more: Any) -> dict[str, Any]:
    return {"job_id": job_id, "source": {"type": "urls", "files": list(entries(source))}, **more}


@pytest.fixture
def batching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICEWAY_BATCH_FILES", "3")


def on_the_web(source: SourceServer, lines: list[dict[str, Any]]) -> str:
    """The manifest at a server that honours ranges under a strong validator."""
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    def answer(request: Request) -> Reply:
        if "Range" not in request.headers:
            return Reply(body, headers={"ETag": '"v1"'})
        assert request.headers["If-Range"] == '"v1"'
        start = int(request.headers["Range"].removeprefix("bytes=").partition("-")[0])
        told = {"ETag": '"v1"', "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
        return Reply(body[start:], 206, told)

    source.replies["/list.jsonl"] = answer
    return source.url("/list.jsonl")


def put_manifest(deployment: Deployment, lines: list[dict[str, Any]]) -> str:
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    deployment.client("s3").put_object(Bucket=deployment.jobs_bucket, Key="requests/list.jsonl", Body=body)
    return f"s3://{deployment.jobs_bucket}/requests/list.jsonl"


@pytest.mark.parametrize("kind", ["urls", "s3", "web"])
@pytest.mark.parametrize("twice", [False, True])
def test_a_list_cut_anywhere_gives_the_same_manifest_and_units(
    batching: None, deployment: Deployment, source: SourceServer, kind: str, twice: bool
) -> None:
    lines = list(entries(source))
    sources = {
        "urls": {"type": "urls", "files": lines},
        "s3": {"type": "manifest", "location": put_manifest(deployment, lines)},
        "web": {"type": "manifest", "location": on_the_web(source, lines)},
    }
    whole, cut = (begin(deployment, {"job_id": job_id, "source": sources[kind]}) for job_id in ("whole-1", "cut-1"))

    (once,) = dispatch(deployment, whole, PLENTY)
    many = dispatch(deployment, cut, 2, twice=twice)

    assert len(many) > 3
    assert {**many[-1], "job_id": "", "execution": ""} == {
        **once, "job_id": "", "execution": "", "units_key": "jobs/cut-1/units.json",
    }  # fmt: skip
    names = ("manifest.jsonl", "units.json")
    assert objects(deployment, "cut-1", *names) == objects(deployment, "whole-1", *names)
    assert deployment.unfinished_uploads() == []


def test_the_largest_files_come_first_and_unknown_ones_before_them(
    batching: None, deployment: Deployment, source: SourceServer
) -> None:
    owner = begin(deployment, listed(source, JOB))
    dispatch(deployment, owner, 1)
    manifest = deployment.read(f"jobs/{JOB}/manifest.jsonl")
    units = json.loads(deployment.read(f"jobs/{JOB}/units.json"))
    ranges = [manifest[unit["offset"] : unit["offset"] + unit["length"]].splitlines() for unit in units]
    assert [len(lines) for lines in ranges] == [unit["count"] for unit in units]
    sizes = [[json.loads(line).get("size") for line in lines] for lines in ranges]
    assert sizes == [[None]] * 4 + [[90_000_000]] * 4 + [[70_000_000]] * 4 + [[10, 30, 10], [30, 10, 30], [10, 30]]


def test_two_files_with_one_target_are_refused_across_the_cut(deployment: Deployment, source: SourceServer) -> None:
    files = list(entries(source))
    files[17]["key"] = files[2]["key"]
    owner = begin(deployment, {"job_id": JOB, "source": {"type": "urls", "files": files}})
    with pytest.raises(DuplicateTargetError) as caught:
        dispatch(deployment, owner, 2)
    assert "/f2" in str(caught.value) and "/f17" in str(caught.value) and "s3cret" not in str(caught.value)


def test_the_mistakes_of_a_list_are_gathered_across_the_cut(deployment: Deployment, source: SourceServer) -> None:
    files = list(entries(source))
    files[1]["key"], files[15]["key"] = "/a", "b//c"
    owner = begin(
        deployment, {"job_id": JOB, "source": {"type": "manifest", "location": put_manifest(deployment, files)}}
    )
    with pytest.raises(InvalidJobError) as caught:
        dispatch(deployment, owner, 2)
    assert [mistake.path for mistake in caught.value.mistakes] == ["list.jsonl line 2, key", "list.jsonl line 16, key"]


def test_a_manifest_that_was_written_anew_in_between_is_named(deployment: Deployment, source: SourceServer) -> None:
    location = put_manifest(deployment, list(entries(source)))
    owner = begin(deployment, {"job_id": JOB, "source": {"type": "manifest", "location": location}})
    answer = dispatch_files(deployment.services, JOB, owner["execution"], looks(2))
    put_manifest(deployment, list(entries(source, 19)))
    with pytest.raises(ListChangedError):
        dispatch_files(deployment.services, JOB, owner["execution"], looks(2), answer["draft_key"])


def test_a_manifest_on_the_web_goes_on_where_it_was(deployment: Deployment, source: SourceServer) -> None:
    location = on_the_web(source, list(entries(source)))
    owner = begin(deployment, {"job_id": JOB, "source": {"type": "manifest", "location": location}})
    dispatch(deployment, owner, 3)
    asked = [request.headers.get("Range") for request in source.requests if request.path == "/list.jsonl"]
    # 600 bytes an invocation; and once it is there nobody asks again.
    assert asked == [None, *(f"bytes={begin}-" for begin in range(600, 1500, 600))]
    assert len(deployment.tasks(JOB)) == 20


def test_a_manifest_on_the_web_that_cannot_be_resumed_fails(deployment: Deployment, source: SourceServer) -> None:
    lines = b"".join(json.dumps(line).encode() + b"\n" for line in entries(source))
    source.replies["/list.jsonl"] = Reply(lines)
    owner = begin(deployment, {"job_id": JOB, "source": {"type": "manifest", "location": source.url("/list.jsonl")}})
    with pytest.raises(CannotResumeError):
        dispatch(deployment, owner, 3)


def test_an_api_is_asked_for_each_page_once(deployment: Deployment, source: SourceServer) -> None:
    pages = 7

    def page(request: Request) -> Reply:
        number = int(request.path.partition("p=")[2] or 0)
        files = [f"/f{number}-{n}" for n in range(3)]
        following = {"next": f"/list?p={number + 1}"} if number + 1 < pages else {}
        return Reply(json.dumps({"items": files, **following}).encode())

    source.replies |= {"/exports": Reply(b"{}"), "/list": page}
    files = {"request": {"url": source.url("/list")}, "list": "items", "pagination": {"next": "next"},
             "name": "{{ file:number }}"}  # fmt: skip
    api = {"type": "http", "start": {"url": source.url("/exports")}, "files": files}
    whole, cut = (begin(deployment, {"job_id": job_id, "source": api}) for job_id in ("whole-1", "cut-1"))
    dispatch(deployment, whole, PLENTY)
    before = len(source.requests)
    assert len(dispatch(deployment, cut, 2)) > 3
    assert len(source.requests) - before == pages
    assert objects(deployment, "cut-1", "manifest.jsonl") == objects(deployment, "whole-1", "manifest.jsonl")


@pytest.mark.parametrize("each", [1, 2, PLENTY])
def test_fresh_links_of_a_list_cut_anywhere_leave_no_file_out(
    deployment: Deployment, source: SourceServer, each: int
) -> None:
    listed = [f"f{n:02}" for n in range(12)]
    version = 0

    def listing(_: Request) -> Reply:
        nonlocal version
        version += 1
        files = [{"href": source.url(f"/{name}?sig={version}"), "name": name} for name in listed]
        return Reply(json.dumps({"state": "DONE", "files": files}).encode())

    def answer(request: Request) -> Reply:
        path, _, signature = request.path.partition("?sig=")
        # Every third file is late: its first link has expired by then.
        return Reply(b"", 403) if signature == "1" and int(path[2:]) % 3 == 0 else Reply(path.encode())

    source.replies |= {"/exports": Reply(b"{}"), "/exports/1": listing, **{f"/{name}": answer for name in listed}}
    api = {
        "type": "http",
        "start": {"url": source.url("/exports")},
        "poll": {"url": source.url("/exports/1"), "status": "state", "status_mapping": {"completed": ["DONE"]}},
        "files": {"list": "files", "url": "href", "key": "name"},
    }
    owner = begin(deployment, {"job_id": JOB, "source": api})
    deployment.invoke("poll_export", owner)
    dispatch(deployment, owner, each)
    for unit in json.loads(deployment.read(f"jobs/{JOB}/units.json")):
        deployment.process(owner, unit)
    assert complete(deployment, owner, PLENTY)[-1]["status"] == "EXPORTING"
    # The source lists the files the other way round, one more, and no longer those that landed first and last.
    listed[:] = ["f99", *reversed(listed[1:11])]
    source.replies["/f99"] = answer
    deployment.invoke("poll_export", owner)

    dispatch(deployment, owner, each, twice=True)

    tasks = deployment.tasks(JOB)
    assert sorted(task.key for task in tasks) == [*(f"f{n:02}" for n in range(12)), "f99"]
    units = json.loads(deployment.read(f"jobs/{JOB}/units.json"))
    manifest = deployment.read(f"jobs/{JOB}/manifest.jsonl")
    wanted = [manifest[unit["offset"] : unit["offset"] + unit["length"]] for unit in units]
    # The first is gone from the list: it keeps its end, which is that it had no good link.
    assert [json.loads(line)["key"] for line in wanted] == ["f99", "f09", "f06", "f03"]
    for unit in units:
        deployment.process(owner, unit)
    answers = complete(deployment, owner, max(each, 2))
    assert (answers[-1]["files"]["stored"], answers[-1]["files"]["failed"]) == (12, 1)


def test_what_cannot_be_cut_begins_in_the_first_half_or_in_the_next_invocation(
    deployment: Deployment, source: SourceServer
) -> None:
    def half_gone() -> TimeLeft:
        """By the time the whole list has been read; never over."""
        return TimeLeft(PLENTY, count().__next__, half_at=5)

    owner = begin(deployment, listed(source, JOB))
    first = dispatch_files(deployment.services, JOB, owner["execution"], half_gone())
    assert (first["action"], first["files"]) == ("CONTINUE", 20)
    second = dispatch_files(deployment.services, JOB, owner["execution"], half_gone(), first["draft_key"])
    assert (second["action"], second["files"]) == ("TRANSFER", 20)

    ended = [complete_job(deployment.services, owner, half_gone())]
    assert (ended[0]["action"], ended[0]["files"]["failed"]) == ("CONTINUE", 20)
    ended.append(complete_job(deployment.services, ended[0], half_gone()))
    assert (ended[1]["action"], ended[1]["files"]) == ("DONE", ended[0]["files"])


def test_two_invocations_that_do_nothing_fail(deployment: Deployment, source: SourceServer) -> None:
    owner = begin(deployment, listed(source, JOB))
    with pytest.raises(NoProgressError):
        dispatch(deployment, owner, 0)
    with pytest.raises(NoProgressError):
        complete(deployment, dispatched(deployment, owner), 0)
    assert not deployment.jobs.get(JOB).ended


def dispatched(deployment: Deployment, owner: dict[str, str]) -> dict[str, str]:
    dispatch(deployment, owner, PLENTY)
    return owner


@pytest.fixture
def landed(deployment: Deployment, source: SourceServer) -> dict[str, dict[str, str]]:
    """Two jobs of the same files, all of which came to an end of their own but two."""
    owners = {}
    for job_id in ("whole-1", "cut-1"):
        files = []
        for n in range(11):
            source.replies[f"/f{n}"] = Reply(Body(100 + n, seed=n)) if n % 4 else Reply(b"", 404)
            files.append({"url": source.url(f"/f{n}"), "key": f"f{n:02}", "size": 100 + n})
        owner = dispatched(
            deployment, begin(deployment, {"job_id": job_id, "source": {"type": "urls", "files": files}})
        )
        (unit,) = json.loads(deployment.read(f"jobs/{job_id}/units.json"))
        lines = deployment.read(f"jobs/{job_id}/manifest.jsonl").splitlines(keepends=True)
        deployment.process(owner, {**unit, "length": sum(map(len, lines[:9])), "count": 9})
        owners[job_id] = owner
    return owners


def steady(report: bytes) -> list[dict[str, Any]]:
    """The report without what differs from run to run."""
    seconds = ("seconds", "source_wait_seconds", "sink_wait_seconds", "hash_seconds", "peak_memory_bytes", "pool_waits")
    return [{k: v for k, v in json.loads(line).items() if k not in seconds} for line in report.splitlines()]


@pytest.mark.parametrize("twice", [False, True])
def test_a_job_completed_in_many_invocations_has_the_same_outputs(
    deployment: Deployment, landed: dict[str, dict[str, str]], twice: bool
) -> None:
    (once,) = complete(deployment, landed["whole-1"], PLENTY)
    many = complete(deployment, landed["cut-1"], 2, twice=twice)

    assert len(many) > 4
    assert (once["status"], once["files"]) == (many[-1]["status"], many[-1]["files"])
    assert once["files"] == {"stored": 6, "skipped": 0, "rejected": 0, "failed": 5, "cancelled": 0}
    whole, cut = (objects(deployment, job_id, *OUTPUTS, "summary.json") for job_id in ("whole-1", "cut-1"))
    assert steady(cut["report.jsonl"]) == steady(whole["report.jsonl"]) and len(steady(cut["report.jsonl"])) == 11
    assert cut["failed.jsonl"] == whole["failed.jsonl"] and cut["SHA256SUMS"] == whole["SHA256SUMS"]
    assert json.loads(cut["summary.json"])["files"] == once["files"]
    assert (deployment.unfinished_uploads(), work(deployment)) == ([], [])


def test_an_upload_that_a_killed_invocation_left_is_gone_at_the_end(
    deployment: Deployment, landed: dict[str, dict[str, str]]
) -> None:
    s3 = deployment.client("s3")
    s3.create_multipart_upload(Bucket=deployment.jobs_bucket, Key="jobs/cut-1/report.jsonl")
    s3.create_multipart_upload(Bucket=deployment.jobs_bucket, Key="jobs/cut-10/report.jsonl")
    complete(deployment, landed["cut-1"], 2)
    assert deployment.unfinished_uploads() == ["jobs/cut-10/report.jsonl"]


def test_what_the_first_invocation_found_holds_for_all(
    deployment: Deployment, landed: dict[str, dict[str, str]]
) -> None:
    failed = {**landed["cut-1"], "error": {"Error": "States.Runtime", "Cause": "broken"}}
    answers = [complete_job(deployment.services, failed, looks(2))]
    # Asked to stop too late: half of the files without an end have failed by then.
    deployment.jobs.request_cancel("cut-1")
    answers += complete(deployment, answers[-1], 2)
    assert answers[-1]["status"] == "FAILED" and answers[-1]["files"]["cancelled"] == 0
    assert deployment.jobs.get("cut-1").error == {"type": "States.Runtime", "message": "broken"}


def test_a_stopped_execution_is_completed_by_a_function_that_calls_itself(
    deployment: Deployment, landed: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[TimeLeft] = []

    def two_looks(_: int) -> TimeLeft:
        given.append(looks(2))
        return given[-1]

    monkeypatch.setattr(TimeLeft, "of", two_looks)
    detail = {"executionArn": landed["cut-1"]["execution"], "status": "ABORTED"}
    deployment.invoke("complete_job", {"detail-type": "Step Functions Execution Status Change", "detail": detail})
    assert deployment.jobs.get("cut-1").state == "CANCELLED"
    assert len(given) > 4
    assert len(deployment.lines("cut-1", "report.jsonl")) == 11
