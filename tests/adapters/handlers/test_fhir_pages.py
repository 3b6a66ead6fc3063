"""A FHIR manifest of many pages whose listing ends between two of them and goes on in the next invocation."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.adapters.handlers.long_lists import JOB, PLENTY, begin, complete, dispatch, objects
from tests.support.deployment import Deployment
from tests.support.fhir import FhirServer
from tests.support.source import Reply, Request, SourceServer

PAGES = 7
# What each page lists. Their files are numbered by type and folder, over all pages.
LISTED = {"output": ["Patient", "Patient", "Observation"], "deleted": ["Bundle"], "error": ["OperationOutcome"]}
KEYS = sorted(
    [f"Patient-{n}.ndjson" for n in range(1, 2 * PAGES + 1)]
    + [f"{name}-{n}.ndjson" for name in ("Observation", "deleted/Bundle") for n in range(1, PAGES + 1)]
    + [f"error/OperationOutcome-{n}.ndjson" for n in range(1, PAGES + 1)]
)


@dataclass
class Pages:
    """Each page links the next: after the first, which the status URL answers, by relative links."""

    source: SourceServer
    asked: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self.source.replies |= {
            "/fhir/$export": Reply(b"", 202, {"Content-Location": self.source.url("/fhir/status")}),
            "/fhir/status": lambda _: self.page(1),
            "/fhir/page": lambda request: self.page(int(request.path.partition("n=")[2])),
            **{f"/fhir/file/{n}": self.file for n in range(1, PAGES * 5 + 1)},
        }

    def page(self, number: int) -> Reply:
        self.asked.append(number)
        urls = iter(range(5 * number - 4, 5 * number + 1))
        lists: dict[str, Any] = {
            name: [{"type": kind, "url": self.source.url(f"/fhir/file/{next(urls)}")} for kind in kinds]
            for name, kinds in LISTED.items()
        }
        following = [{"relation": "next", "url": f"/fhir/page?n={number + 1}"}] if number < PAGES else []
        return FhirServer.reply({"requiresAccessToken": False, **lists, "link": following})

    @staticmethod
    def file(request: Request) -> Reply:
        return Reply(json.dumps({"resourceType": request.path}).encode() + b"\n")

    def job(self, job_id: str) -> dict[str, Any]:
        return {"job_id": job_id, "source": {"type": "fhir-bulk", "base_url": self.source.url("/fhir")}}


@pytest.fixture
def pages(source: SourceServer) -> Pages:
    return Pages(source)


def exported(deployment: Deployment, pages: Pages, job_id: str = JOB) -> dict[str, str]:
    owner = begin(deployment, pages.job(job_id))
    assert deployment.invoke("poll_export", owner)["action"] == "READY"
    return owner


@pytest.mark.parametrize(("each", "twice"), [(1, False), (2, True), (3, False)])
def test_a_list_cut_between_pages_loses_and_doubles_nothing(
    small_blocks: None, deployment: Deployment, pages: Pages, each: int, twice: bool
) -> None:
    whole, cut = (exported(deployment, pages, job_id) for job_id in ("job-1", "job-2"))
    (once,) = dispatch(deployment, whole, PLENTY)
    pages.asked.clear()

    many = dispatch(deployment, cut, each, twice=twice)

    assert len(many) > PAGES // each
    assert (once["files"], many[-1]["files"]) == (len(KEYS), len(KEYS))
    names = ("manifest.jsonl", "units.json")
    assert objects(deployment, "job-2", *names) == objects(deployment, "job-1", *names)
    assert sorted(task.key for task in deployment.tasks("job-2")) == KEYS
    # Each page was read, and one more than once only where an invocation ended before it.
    assert set(pages.asked) == set(range(2, PAGES + 1))
    assert len(pages.asked) < (PAGES + len(many)) * (1 + twice)


def test_what_a_list_cut_between_pages_names_lands(
    small_blocks: None, deployment: Deployment, pages: Pages, source: SourceServer
) -> None:
    owner = exported(deployment, pages)
    dispatch(deployment, owner, 1)
    for unit in json.loads(deployment.read(f"jobs/{JOB}/units.json")):
        deployment.process(owner, unit)

    (*_, answer) = complete(deployment, owner, 3)

    assert (answer["status"], answer["files"]["stored"]) == ("COMPLETED", len(KEYS))
    landed = deployment.landed()
    assert sorted(landed) == KEYS
    # Every file of the export is there once, under one name.
    resources = sorted(json.loads(body)["resourceType"] for body in landed.values())
    assert resources == sorted(f"/fhir/file/{n}" for n in range(1, PAGES * 5 + 1))
    asked = [request.path for request in source.requests if "/fhir/file/" in request.path]
    assert len(asked) == len(set(asked)) == len(KEYS)


def test_pages_that_lead_back_are_noticed_across_the_cut(
    small_blocks: None, deployment: Deployment, pages: Pages, source: SourceServer
) -> None:
    def in_a_circle(request: Request) -> Reply:
        number = int(request.path.partition("n=")[2])
        return pages.page(number) if number < 4 else FhirServer.reply(
            {"requiresAccessToken": False, "output": [], "link": [{"relation": "next", "url": "/fhir/page?n=2"}]}
        )  # fmt: skip

    source.replies["/fhir/page"] = in_a_circle
    owner = exported(deployment, pages)
    with pytest.raises(Exception, match="links come to no end") as error:
        dispatch(deployment, owner, 1)
    assert type(error.value).__name__ == "ListChangedError"
