"""Lists that outlast an invocation: read and judged in many, to the same manifest and units as in one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluiceway.errors import CannotResumeError, DuplicateTargetError, InvalidJobError, ListChangedError
from sluiceway.steps import dispatching
from sluiceway.steps.dispatching import dispatch_files
from tests.adapters.handlers.long_lists import JOB, PLENTY, begin, complete, dispatch, entries, listed, looks, objects
from tests.support.deployment import Deployment
from tests.support.source import Reply, Request, SourceServer

pytestmark = pytest.mark.usefixtures("small_blocks")


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


@pytest.mark.parametrize("unknown", [(), (0,), (3, 9), (19,)])
@pytest.mark.parametrize("looked", [2, PLENTY])
def test_a_job_has_a_total_of_bytes_only_where_every_size_is_known(
    deployment: Deployment, source: SourceServer, unknown: tuple[int, ...], looked: int
) -> None:
    files = [{**each, "size": None if n in unknown else n} for n, each in enumerate(entries(source))]
    lines = [{name: value for name, value in each.items() if value is not None} for each in files]
    owner = begin(deployment, {"job_id": JOB, "source": {"type": "urls", "files": lines}})
    dispatch(deployment, owner, looked)
    job = deployment.jobs.get(JOB)
    assert (job.files_total, job.bytes_total) == (20, None if unknown else sum(range(20)))


def test_two_files_with_one_target_are_refused_across_the_cut(deployment: Deployment, source: SourceServer) -> None:
    files = list(entries(source))
    files[17]["key"] = files[2]["key"]
    owner = begin(deployment, {"job_id": JOB, "source": {"type": "urls", "files": files}})
    with pytest.raises(DuplicateTargetError) as caught:
        dispatch(deployment, owner, 2)
    assert "/f2" in str(caught.value) and "/f17" in str(caught.value) and "s3cret" not in str(caught.value)


def refused_pairs(deployment: Deployment, files: list[dict[str, Any]]) -> tuple[str, ...]:
    owner = begin(deployment, {"job_id": JOB, "source": {"type": "urls", "files": files}})
    with pytest.raises(DuplicateTargetError) as caught:
        dispatch(deployment, owner, 2)
    assert str(caught.value) == "; ".join(caught.value.pairs)
    return caught.value.pairs


def test_every_two_files_with_one_target_are_told_in_the_order_of_the_list(
    deployment: Deployment, source: SourceServer
) -> None:
    files = list(entries(source))
    pairs = [(5, 7), (2, 9), (4, 12), (2, 17)]
    for first, second in pairs:
        files[second]["key"] = files[first]["key"]
    told = refused_pairs(deployment, files)
    places = [f"/f{a}?redacted (file {a + 1}) and {source.url(f'/f{b}')}?redacted (file {b + 1})" for a, b in pairs]
    assert [place in pair for place, pair in zip(places, told, strict=True)] == [True] * 4


def test_of_very_many_pairs_as_many_are_told_as_are_of_use_and_there_is_room_for(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = list(entries(source))
    for file in files[1:]:
        file["key"] = files[0]["key"]
    monkeypatch.setattr(dispatching, "MAX_MISTAKES", 7)
    told = refused_pairs(deployment, files)
    assert [f"(file {n})" in pair for n, pair in enumerate(told, start=2)] == [True] * 7
    for room, number in ((1, 1), (len(told[0]) * 2, 2)):
        monkeypatch.setattr(dispatching, "PAIRS_CHARS", room)
        assert len(dispatching._fitting(list(told))) == number


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
