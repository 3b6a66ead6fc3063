"""Fields in the prefix and in keys, through the functions."""

from __future__ import annotations

import json

from tests.support.deployment import Deployment
from tests.support.source import Body, Reply, SourceServer


def test_keys_are_filled_from_the_start_of_the_job(deployment: Deployment, source: SourceServer) -> None:
    source.replies |= {"/a": Reply(Body(10)), "/b": Reply(Body(20, seed=1)), "/c{1}": Reply(b"", 404)}
    files = [source.url("/a"), {"url": source.url("/b"), "key": "{dd}.csv"}, source.url("/c%7B1%7D")]
    prefix = "acme/{yyyy}/{job_id}/"

    deployment.run({"job_id": "j-1", "source": {"type": "urls", "files": files}, "destination": {"prefix": prefix}})

    begun = deployment.jobs.get("j-1").created_at
    assert deployment.landed().keys() == {f"acme/{begun[:4]}/j-1/a", f"acme/{begun[:4]}/j-1/{begun[8:10]}.csv"}
    # What failed is run again as it stands: its key is whole, and its braces are braces.
    (failed,) = (json.loads(line) for line in deployment.read("jobs/j-1/failed.jsonl").splitlines())
    assert failed["key"] == f"acme/{begun[:4]}/j-1/c{{{{1}}}}"
