"""`sluiceway engine start`: the embedded engine in the foreground, for other commands and any AWS SDK.

Knows what others must be told to reach it. Refuses to know what they do with it.
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

from cli.arguments import Secrets
from cli.embedded import PROGRESS_SECONDS, make_folder, running_engine
from cli.exits import Exit
from cli.failing import fail
from cli.refusal import refuse
from cli.signals import terminated_as_interrupt
from cli.stack import LOCAL_REGION
from cli.view import JobProgress
from infra.settings import Settings, split_assignments
from sluiceway.errors import InvalidJobError

LOOPBACK = "127.0.0.1"


def start(
    landed: Path, port: int, secrets: Secrets | None, allow_source: list[str], assignments: list[str], *, as_json: bool
) -> Exit:
    """Returns when it was interrupted, once all of it is down."""
    try:
        settings = {"progress_seconds": PROGRESS_SECONDS, **split_assignments(assignments)}
        allowed = Settings.parse(settings).allowed_sources
    except ValueError as error:
        return refuse("--set", error, as_json=as_json)
    settings["allowed_sources"] = ",".join(dict.fromkeys([*allowed, *allow_source]))
    try:
        with terminated_as_interrupt():
            _serve(landed, port, secrets, settings, as_json=as_json)
    except KeyboardInterrupt:
        pass  # so an engine ends
    except InvalidJobError as error:
        return refuse("engine start", error, as_json=as_json)
    except OSError as error:
        message = f"the engine cannot start: {error}"
        return fail(Exit.INVALID, "EngineNotStartedError", message, job_id=None, as_json=as_json)
    return Exit.OK


def _serve(landed: Path, port: int, secrets: Secrets | None, settings: dict[str, str], *, as_json: bool) -> None:
    _refuse_taken(port)
    make_folder(landed)
    with JobProgress() as progress, running_engine(landed, settings, secrets, progress, port=port) as engine:
        progress.stop()
        _tell(engine.endpoint_url, engine.outputs, as_json=as_json)
        threading.Event().wait()


def _refuse_taken(port: int) -> None:
    """Raises OSError where somebody listens on `port`, before the engine has made a folder of its own."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError as error:
        raise OSError(error.errno, f"port {port}: {error.strerror}") from error


def environment(endpoint_url: str) -> dict[str, str]:
    """What points an AWS SDK at the engine. It checks no signature, but SDKs insist on one."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": LOCAL_REGION,
        "AWS_DEFAULT_REGION": LOCAL_REGION,
    }


def _tell(endpoint_url: str, outputs: dict[str, str], *, as_json: bool) -> None:
    variables = environment(endpoint_url)
    if as_json:
        told = {"endpoint_url": endpoint_url, "environment": variables, "outputs": outputs}
        print(json.dumps(told), flush=True)
        return
    lines = [f"The engine listens on {endpoint_url}; Ctrl-C ends it. In another shell:", ""]
    lines += [f"  export {name}={value}" for name, value in variables.items()]
    lines += ["  sluiceway submit JOB --watch", "", "or pass --endpoint-url to each command. The stack's outputs:", ""]
    lines += [f"  {name} {value}" for name, value in outputs.items()]
    print("\n".join(lines), flush=True)
