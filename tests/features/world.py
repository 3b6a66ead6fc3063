"""What a scenario has at hand: an engine, a source, and the job it is about.

Knows how a job is written, started, awaited and looked at. Refuses to know the sentences of the features.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cli.jobs import JobsClient, JobView, Submitted
from cli.watch import Watch
from local.engine import Engine
from sluiceway.job_files import key_of
from tests.support.source import Answer, Body, Reply, Request, SourceServer

SIGNATURE = "s3cr3tsignature"


@dataclass
class Wanted:
    """A file of the scenario: what its source holds, and what the job's entry says besides the URL."""

    path: str
    body: Body
    entry: dict[str, Any] = field(default_factory=dict)


@dataclass
class World:
    """`refused` is a server that the engine does not allow, `closed` a HOST:PORT where nobody listens."""

    engine: Engine
    landed: Path
    source: SourceServer
    refused: SourceServer
    closed: str
    jobs: JobsClient
    job_id: str = field(default_factory=lambda: f"job-{uuid.uuid4().hex[:12]}")
    files: dict[str, Wanted] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    submitted: Submitted | None = None
    second: Submitted | None = None
    view: JobView | None = None
    seen: list[JobView] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def add_file(self, path: str, size: int, bucket: str = "") -> None:
        body = Body(size, seed=len(self.files))
        wanted = Wanted(path, body, {"url": self.url(path)} | ({"bucket": bucket} if bucket else {}))
        self.files[path.lstrip("/")] = wanted
        self.answer(path, Reply(body))

    def url(self, path: str) -> str:
        return self.source.url(self.path(path))

    def path(self, path: str) -> str:
        """As it stands in a request: each scenario has a folder of its own, named after its job."""
        return quote(f"/{self.job_id}{path}")

    def answer(self, path: str, answer: Answer) -> None:
        self.source.replies[self.path(path)] = answer

    def asked(self, path: str = "", method: str = "GET") -> list[str]:
        """The requests of this scenario's folder that came for `path`, or for anything."""
        wanted = self.path(path or "/")
        return [each for each in self.source.paths(method) if each == wanted or (not path and each.startswith(wanted))]

    def hold(self, name: str) -> None:
        """The source sends the first block of the file, says so by `begun`, and waits for `release`."""

        def answer(_: Request) -> Reply:
            self.begun.set()
            return Reply(self.files[name].body, hold=self.released)

        self.answer(self.files[name].path, answer)

    def release(self) -> None:
        self.released.set()

    def bucket_of(self, name: str) -> str:
        return str(self.files[name].entry.get("bucket") or self.engine.outputs["LandingBucket"])

    def key_of(self, name: str) -> str:
        return str(self.files[name].entry.get("key") or f"{self.job_id}/{name}")

    def on_disk(self, name: str) -> Path:
        return self.landed / self.bucket_of(name) / self.key_of(name)

    def job(self) -> dict[str, Any]:
        source = {"type": "urls", "files": [wanted.entry for wanted in self.files.values()]}
        return {"job_id": self.job_id, "source": source, **self.document}

    def start(self, document: Mapping[str, Any] | None = None) -> None:
        self.submitted = self.jobs.submit(document or self.job())

    def wait(self) -> JobView:
        assert self.submitted is not None
        for view in Watch(self.jobs, look_seconds=0.1).follow(self.submitted):
            self.view = view
            self.seen.append(view)
        assert self.view is not None
        return self.view

    def run(self, document: Mapping[str, Any] | None = None) -> JobView:
        self.start(document)
        return self.wait()

    def output(self, name: str) -> Path:
        return self.landed / self.jobs.jobs_bucket / key_of(self.job_id, name)

    def report(self) -> dict[str, dict[str, Any]]:
        """The lines of report.jsonl by key."""
        return {line["key"]: line for line in _lines(self.output("report.jsonl"))}

    def rows(self) -> list[dict[str, Any]]:
        """Every row of the jobs table, as DynamoDB spells it."""
        pages = self.jobs.dynamodb.get_paginator("scan").paginate(TableName=self.jobs.jobs_table)
        return [item for page in pages for item in page["Items"]]

    def put_secret(self, text: str, folder: str = "") -> str:
        """Keeps a secret of this scenario; returns the name a job gives it."""
        name = f"sluiceway/{folder}{self.job_id}"
        self.engine.client("secretsmanager").create_secret(Name=name, SecretString=text)
        return name

    def problems(self) -> list[Any]:
        """What a failing assertion had better show."""
        path = self.output("report.jsonl")
        return [line for line in _lines(path) if line["error"]] if path.exists() else ["no report"]

    def failed(self) -> list[dict[str, Any]]:
        return list(_lines(self.output("failed.jsonl")))

    def unfinished_uploads(self, bucket: str) -> list[str]:
        found = self.jobs.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return [upload["Key"] for upload in found]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines():
        yield json.loads(line)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
