"""`sluiceway engine start` as a process of its own, for as long as a test needs it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session

from tests.support.commands import command_line
from tests.support.commands import environment as clean_environment

END_SECONDS = 90


@dataclass(frozen=True)
class EngineProcess:
    """`environment` is what points an AWS SDK at it, as it says itself."""

    process: subprocess.Popen[str]
    endpoint_url: str
    environment: dict[str, str]
    outputs: dict[str, str]
    landed: Path

    def client(self, service: str) -> Any:
        variables = self.environment
        return botocore.session.Session().create_client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=variables["AWS_REGION"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )


@contextmanager
def engine_process(folder: Path, *options: str | Path) -> Iterator[EngineProcess]:
    """Objects land in `folder/landed`; what the engine says beside its one line is in `folder/engine.log`."""
    arguments = command_line("engine", "start", "--landed", folder / "landed", "--json", *options)
    with (
        (folder / "engine.log").open("w") as log,
        subprocess.Popen(arguments, env=clean_environment(), stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (folder / "engine.log").read_text()
            yield EngineProcess(process, **json.loads(line), landed=folder / "landed")
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
