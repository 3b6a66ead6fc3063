"""A job that lists its URLs, function by function."""

from __future__ import annotations

import hashlib
import io
import json

import pytest

from tests.support.deployment import Deployment
from tests.support.source import Body, Reply, SourceServer

SECRET = "X-Signature=planted-secret-7f3a"
ZEROS = "00" * 32


@pytest.fixture
def files(source: SourceServer) -> SourceServer:
    source.replies |= {
        "/good.csv": Reply(Body(100_000, seed=1)),
        "/empty.csv": Reply(b""),
        "/wrong.csv": Reply(Body(5_000, seed=2)),
        "/cut.csv": Reply(Body(70_000, seed=3), cut_after=40_000),
    }
    return source


def document(source: SourceServer, *entries: object, **more: object) -> dict[str, object]:
    return {"job_id": "acme-1", "source": {"type": "urls", "files": list(entries)}, **more}


def test_every_file_lands_with_the_bytes_of_its_source(deployment: Deployment, files: SourceServer) -> None:
    prefix = {"destination": {"prefix": "in/"}}
    execution = deployment.new_execution()
    answer = deployment.run(document(files, files.url("/good.csv"), files.url("/empty.csv"), **prefix), execution)

    assert answer == {
        "action": "DONE",
        "job_id": "acme-1",
        "execution": execution,
        "status": "COMPLETED",
        "files": {"stored": 2, "skipped": 0, "rejected": 0, "failed": 0, "cancelled": 0},
    }
    assert deployment.landed() == {"in/good.csv": Body(100_000, seed=1).read(), "in/empty.csv": b""}


def test_bad_files_end_with_their_reason_and_harm_no_other(deployment: Deployment, files: SourceServer) -> None:
    answer = deployment.run(
        document(
            files,
            files.url("/good.csv"),
            files.url("/absent.csv"),
            {"url": files.url("/wrong.csv"), "sha256": ZEROS},
            "http://10.0.0.1/inside.csv",
        )
    )

    assert answer["status"] == "COMPLETED_WITH_FAILURES"
    assert answer["files"] == {"stored": 1, "skipped": 0, "rejected": 2, "failed": 1, "cancelled": 0}
    assert deployment.landed().keys() == {"good.csv"}
    assert deployment.unfinished_uploads() == []
    report = {
        line["key"]: (line["status"], (line["error"] or {}).get("type"))
        for line in deployment.lines("acme-1", "report.jsonl")
    }
    assert report == {
        "good.csv": ("STORED", None),
        "absent.csv": ("FAILED", "SourceStatusError"),
        "wrong.csv": ("REJECTED", "DigestMismatchError"),
        "inside.csv": ("REJECTED", "PolicyError"),
    }


def test_no_secret_of_a_link_leaves_the_jobs_bucket(
    deployment: Deployment, files: SourceServer, logs: io.StringIO
) -> None:
    deployment.run(document(files, *(files.url(f"/{name}.csv?{SECRET}") for name in ("good", "absent", "wrong"))))

    private = ("job.json", "manifest.jsonl", "failed.jsonl")
    assert all(SECRET in deployment.read(f"jobs/acme-1/{name}").decode() for name in private)
    public = [
        deployment.read(f"jobs/acme-1/{name}").decode()
        for name in ("report.jsonl", "SHA256SUMS", "summary.json", "units.json")
    ]
    seen = [*public, json.dumps(deployment.rows()), json.dumps(deployment.events()), logs.getvalue()]
    assert "acme-1" in seen[2] and "file ended" in seen[-1]
    assert not [text for text in seen if "planted-secret" in text]


def test_the_sums_are_those_of_sha256sum(deployment: Deployment, files: SourceServer) -> None:
    deployment.run(document(files, files.url("/good.csv"), files.url("/absent.csv")))

    digest = hashlib.sha256(Body(100_000, seed=1).read()).hexdigest()
    assert deployment.read("jobs/acme-1/SHA256SUMS").decode() == f"{digest}  {deployment.landing_bucket}/good.csv\n"


def test_an_empty_list_is_a_completed_job(deployment: Deployment, files: SourceServer) -> None:
    answer = deployment.run(document(files))

    assert (answer["status"], sum(answer["files"].values())) == ("COMPLETED", 0)
    assert deployment.read("jobs/acme-1/report.jsonl") == b""
    assert json.loads(deployment.read("jobs/acme-1/summary.json"))["files_total"] == 0
