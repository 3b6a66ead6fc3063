"""A job submitted again, and a job that is stopped while its files move."""

from __future__ import annotations

from tests.support.deployment import Deployment
from tests.support.source import Body, Reply, SourceServer


def document(source: SourceServer, *files: object) -> dict[str, object]:
    return {"job_id": "again", "source": {"type": "urls", "files": list(files)}}


def report(deployment: Deployment) -> dict[str, dict[str, object]]:
    return {line["key"]: line for line in deployment.lines("again", "report.jsonl")}


def test_the_second_run_moves_only_what_the_first_did_not_store(deployment: Deployment, source: SourceServer) -> None:
    source.replies |= {"/a": Reply(Body(1000, seed=1))}
    job = document(source, source.url("/a"), source.url("/b"))
    assert deployment.run(job)["files"]["failed"] == 1
    source.replies |= {"/b": Reply(Body(2000, seed=2))}
    source.requests.clear()

    answer = deployment.run(job)

    assert answer["files"] == {"stored": 1, "skipped": 1, "rejected": 0, "failed": 0, "cancelled": 0}
    assert source.paths() == ["/b"]
    lines = report(deployment)
    assert lines["a"]["reason"] == "stored by an earlier run of the job"
    assert lines["a"]["sha256"] == Body(1000, seed=1).digest()
    assert deployment.read("jobs/again/SHA256SUMS").count(b"\n") == 2


def test_an_object_that_was_replaced_meanwhile_is_moved_again(deployment: Deployment, source: SourceServer) -> None:
    source.replies |= {"/a": Reply(Body(1000, seed=1))}
    job = document(source, source.url("/a"))
    deployment.run(job)
    deployment.client("s3").put_object(Bucket=deployment.landing_bucket, Key="a", Body=b"somebody else's")

    assert deployment.run(job)["files"]["stored"] == 1
    assert deployment.landed() == {"a": Body(1000, seed=1).read()}


def test_a_digest_that_the_job_states_now_is_held_against_the_earlier_landing(
    deployment: Deployment, source: SourceServer
) -> None:
    source.replies |= {"/a": Reply(Body(1000, seed=1))}
    deployment.run(document(source, source.url("/a")))

    answer = deployment.run(document(source, {"url": source.url("/a"), "sha256": "00" * 32}))

    assert answer["files"]["rejected"] == 1
