"""A job that ends while a file of it is split, and whose execution goes on: what a redrive comes to, in the engine.

The functions and the state machine are the real ones. The engine knows no redrive, so the job is ended under an
execution that runs, by the event that a stopped one brings, and Step Functions is made to say that it was redriven.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from cli.jobs import JobsClient
from local.calls import Call
from local.engine import Engine
from sluiceway.aws.table import JobTable
from tests.support.ranges import MIB, File, range_source
from tests.support.waiting import wait_until

JOB = "redriven"
SPLIT = File(13 * MIB + 5)


@dataclass
class Ender:
    """Ends the job when the first of its segments looks at it, which waits meanwhile."""

    engine: Engine | None = None
    ended: list[str] = field(default_factory=list[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on_call(self, call: Call) -> None:
        if (call.caller, call.service) != ("move_segment", "dynamodb"):
            return
        with self._lock:
            if not self.ended:
                self.ended.append("")
                self.ended[0] = self._end()

    def _end(self) -> str:
        assert self.engine is not None
        jobs = JobsClient.of_stack(self.engine.client, self.engine.outputs)
        job = JobTable(jobs.dynamodb, jobs.jobs_table).get(JOB)
        functions = self.engine.client("lambda")
        names = [each["FunctionName"] for each in functions.list_functions()["Functions"]]
        event = {"detail": {"executionArn": job.execution, "status": "TIMED_OUT"}}
        answer = functions.invoke(
            FunctionName=next(name for name in names if "CompleteJob" in name), Payload=json.dumps(event).encode()
        )
        return str(json.loads(answer["Payload"].read())["status"])


@pytest.fixture
def ender(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Ender, str]]:
    ender = Ender()
    with range_source({"/split": SPLIT}) as source:
        settings = {"split_bytes": str(10 * MIB), "part_mib": "5"}
        with Engine(tmp_path, settings=settings, allowed_sources=[source.host], on_call=ender.on_call) as engine:
            from moto.stepfunctions.responses import StepFunctionResponse  # moto reads its environment on import

            describe = StepFunctionResponse.describe_execution

            def redriven(self: Any) -> Any:
                found: Any = describe(self)
                found.result["redriveCount"] = 1
                return found

            monkeypatch.setattr(StepFunctionResponse, "describe_execution", redriven)
            ender.engine = engine
            yield ender, source.url("/split")


def test_a_split_file_is_begun_anew_by_the_state_machine(ender: tuple[Ender, str]) -> None:
    ending, url = ender
    engine = ending.engine
    assert engine is not None
    jobs = JobsClient.of_stack(engine.client, engine.outputs)
    document = {"job_id": JOB, "source": {"type": "urls", "files": [url]}, "split": "crc"}

    execution = jobs.submit(document).execution
    steps = engine.client("stepfunctions")
    wait_until(lambda: steps.describe_execution(executionArn=execution)["status"] != "RUNNING")

    assert ending.ended == ["FAILED"]
    summary = jobs.read_summary(JOB)
    assert summary is not None
    assert (summary["status"], summary["run"], summary["files"]["stored"]) == ("COMPLETED", 2, 1)
    (line,) = jobs.read_report(JOB)
    assert (line["status"], line["bytes"], line["segments"]) == ("STORED", SPLIT.size, 2)
    landed = engine.store / engine.outputs["LandingBucket"] / "split"
    assert landed.read_bytes() == b"".join(SPLIT.blocks())
    assert "Uploads" not in jobs.s3.list_multipart_uploads(Bucket=engine.outputs["LandingBucket"])
