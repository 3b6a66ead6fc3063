"""Every function, raising what nobody foresaw: neither its log nor the error it returns shows a secret.

The functions are those that there are folders of: a new one is tested without being named here.
"""

from __future__ import annotations

import importlib
import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.engine import Engine
from sluiceway.errors import JobIsLiveError
from tests.local.support import function
from tests.support.deployment import LambdaContext

LAMBDAS = Path(__file__).parents[3] / "lambdas"
FUNCTIONS = sorted(path.parent.name for path in LAMBDAS.glob("*/handler.py"))
SECRET = "planted"
LINK = f"https://me:{SECRET}-user@files.example.org/a?sig={SECRET}-query"
# All that any function reads before it asks for what it works with.
EVENT: dict[str, Any] = {
    "job_id": "j",
    "execution": "arn:aws:states:us-east-1:123456789012:execution:jobs:e",
    "unit": {"manifest_key": "jobs/j/manifest.jsonl", "offset": 0, "length": 1, "count": 1},
    "n": 0,
}


class StubbornError(Exception):
    """Makes its text of something else than its arguments."""

    def __str__(self) -> str:
        return f"stubborn at {LINK}"


def broken(error: Exception) -> Any:
    def services() -> None:
        error.add_note(f"asked {LINK}")
        try:
            raise StubbornError
        except StubbornError as cause:
            cause.add_note(f"sent {{'Authorization': 'Bearer {SECRET}-header'}}")
            raise error from cause

    return services


@pytest.mark.parametrize("error_of", [lambda: RuntimeError(f"at {LINK}"), StubbornError, lambda: JobIsLiveError(LINK)],
                         ids=["RuntimeError", "StubbornError", "JobIsLiveError"])  # fmt: skip
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_handler_raises_shows_no_secret_and_keeps_its_name(
    name: str, error_of: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    handler = importlib.import_module(f"{name}.handler").handler
    error = error_of()
    # The module in which the handler is written: one function may use another's.
    monkeypatch.setattr(importlib.import_module(handler.__module__), "services", broken(error))

    with pytest.raises(Exception) as raised:
        handler(dict(EVENT), LambdaContext(name))

    assert type(raised.value).__name__ == type(error).__name__
    printed = "".join(traceback.format_exception(raised.value))
    assert SECRET not in printed and SECRET not in str(raised.value)
    assert "files.example.org/a?redacted" in printed and "asked https" in printed and "StubbornError" in printed
    assert SECRET not in "".join(capfd.readouterr())


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Every function in a process of its own under Lambda's runtime client, with a setting that none can read."""
    folder = tmp_path_factory.mktemp("unforeseen")
    resources = {name.replace("_", ""): _resource(name) for name in FUNCTIONS}
    resources["Role"] = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": []}}}
    with Engine(
        folder / "landed", template={"Resources": resources}, code=LAMBDAS, max_processes=2, wait_scale=0.001
    ) as engine:
        yield engine


def _resource(name: str) -> dict[str, Any]:
    places = {f"SLUICEWAY_{each}": "none" for each in ("JOBS_BUCKET", "JOBS_TABLE", "EVENT_BUS", "LANDING_BUCKET")}
    resource = function(name, memory_mb=512, **places, SLUICEWAY_PART_MIB=LINK)
    resource["Properties"]["Handler"] = f"{name}.handler.handler"
    return resource


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_process_under_lambdas_runtime_tells_no_secret(engine: Engine, name: str) -> None:
    reply = engine.client("lambda").invoke(FunctionName=name, Payload=json.dumps(EVENT).encode())
    told = reply["Payload"].read().decode()
    (log,) = engine.logs.glob(f"*/{name}.log")

    assert reply["FunctionError"] == "Unhandled"
    assert json.loads(told)["errorType"] == "ValueError"
    for text in (told, log.read_text()):
        assert "https://files.example.org/a?redacted" in text
        assert SECRET not in text
