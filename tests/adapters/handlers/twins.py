"""Two invocations of one event at the same moment, of which one is held back when it writes its end.

Knows where moto is not as S3 is: a part sent to an upload that was aborted is refused.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from moto.dynamodb.responses import DynamoHandler
from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import S3Backend

from sluiceway.jobs.counts import Counts
from sluiceway.jobs.states import FileState
from tests.support.deployment import Deployment

# Less than a call to DynamoDB may take: one that is held back longer would be sent again.
PATIENCE_SECONDS = 15.0
JOB = "acme-1"
Event = dict[str, Any]


@dataclass
class Twins:
    """The end that is `held_back` is written once another file's row has been, or once it is `released`."""

    deployment: Deployment
    held_back: FileState | None = None
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def invoke(self, function: str, event: Mapping[str, Any], *, second_when_reached: bool = False) -> list[Any]:
        """The answers of both. With `second_when_reached` the second begins when the first has come to writing the end
        that is held back."""
        answers: list[Any] = []
        first, second = (self.start(function, event, answers), lambda: self.start(function, event, answers))
        if second_when_reached:
            assert self.reached.wait(PATIENCE_SECONDS)
        for thread in (first, second()):
            thread.join(PATIENCE_SECONDS)
        return answers

    def start(self, function: str, event: Mapping[str, Any], answers: list[Any]) -> threading.Thread:
        thread = threading.Thread(target=lambda: answers.append(self.deployment.invoke(function, event)), daemon=True)
        thread.start()
        return thread

    def before(self, states: set[str]) -> None:
        if self.held_back in states:
            self.reached.set()
            assert self.released.wait(PATIENCE_SECONDS)

    def after(self, states: set[str]) -> None:
        if states and self.held_back not in states:
            self.released.set()


@contextmanager
def twins_of(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twins]:
    twins = Twins(deployment)
    call_action, upload_part = DynamoHandler.call_action, S3Backend.upload_part

    def in_order(self: Any) -> Any:
        states = {row["state"]["S"] for item in self.params.get("TransactItems", ()) if (row := _file_row(item))}
        twins.before(states)
        answer = call_action(self)
        twins.after(states)
        return answer

    def refusing(self: Any, bucket: str, upload_id: str, number: int, value: bytes) -> Any:
        if upload_id not in self.get_bucket(bucket).multiparts:
            raise NoSuchUpload(upload_id=upload_id)
        return upload_part(self, bucket, upload_id, number, value)

    with monkeypatch.context() as patched:
        patched.setattr(S3Backend, "upload_part", refusing)
        patched.setattr(DynamoHandler, "call_action", in_order)
        yield twins


def _file_row(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    row = item.get("Put", {}).get("Item", {})
    return row if row.get("sk", {}).get("S", "").startswith("FILE#") else None


def dispatched(deployment: Deployment, *files: object, **more: object) -> tuple[dict[str, str], Event]:
    execution = deployment.new_execution()
    document = {"job_id": JOB, "source": {"type": "urls", "files": list(files)}, **more}
    deployment.start(document, execution)
    owner = {"job_id": JOB, "execution": execution}
    (unit,) = json.loads(deployment.read(deployment.invoke("dispatch_files", owner)["units_key"]))
    return owner, {**owner, "unit": unit}


def counts_of_the_report(deployment: Deployment) -> Counts:
    lines = deployment.lines(JOB, "report.jsonl")
    ends = [line["status"].lower() for line in lines]
    stored = sum(line["bytes"] for line in lines if line["status"] == "STORED")
    return Counts(**{name: ends.count(name) for name in set(ends)}, bytes=stored)


def ends_told(deployment: Deployment) -> list[str]:
    return [event["detail"]["state"] for event in deployment.events() if "key" in event["detail"]]
