"""What the functions of the engine's tests do: one small thing each, in a real process."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

CALLS = 0


class OrderlyError(Exception):
    pass


def echo(event: Any, _context: Any) -> Any:
    return event


def about(_event: Any, context: Any) -> dict[str, Any]:
    global CALLS
    CALLS += 1
    return {
        "pid": os.getpid(),
        "calls": CALLS,
        "environment": dict(os.environ),
        "memory": context.memory_limit_in_mb,
        "left_ms": context.get_remaining_time_in_millis(),
        "folder": os.getcwd(),
    }


def sleep(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    if "mark" in event:
        Path(event["mark"]).write_text(str(os.getpid()))
    time.sleep(event["seconds"])
    return {"slept": event["seconds"]}


def fill(event: dict[str, Any], _context: Any) -> int:
    """Touches memory for a moment: long enough to be killed for, or so short that only the peak tells."""
    return len(bytearray(event["mb"] * 1024 * 1024))


def fail(event: Any, _context: Any) -> None:
    raise OrderlyError(f"no {json.dumps(event)}")


def fail_some(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    if event["item"] in event["bad"]:
        raise OrderlyError("a bad one")
    return {"item": event["item"]}


def leave(event: dict[str, Any], _context: Any) -> None:
    sys.stdout.flush()
    os._exit(event["code"])


def long(event: dict[str, Any], _context: Any) -> str:
    return "x" * event["bytes"]


def write(event: Any, _context: Any) -> str:
    """Appends the event to the file that MARK names."""
    with open(os.environ["MARK"], "a") as file:
        file.write(json.dumps(event) + "\n")
    return "written"


def call(event: dict[str, Any], _context: Any) -> Any:
    """Waits until as many callers as `callers` are under way, each with a process of its own, and then calls another
    function."""
    folder = Path(event["folder"])
    (folder / str(os.getpid())).touch()
    deadline = time.monotonic() + 20
    while len(list(folder.iterdir())) < event["callers"]:
        assert time.monotonic() < deadline, "the other callers never came"
        time.sleep(0.01)
    import botocore.session

    client = botocore.session.get_session().create_client("lambda")
    return json.loads(client.invoke(FunctionName="echo", Payload=json.dumps(event["say"]).encode())["Payload"].read())
