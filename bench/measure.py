"""One measured run of one process: CPU seconds, wall clock, peak memory, and whether it did its work.

CPU is user plus system time of the process and its children, from wait4. Peak memory is ru_maxrss of the same; Linux
lets it begin at what the parent had, so the parent must stay small: this module imports little.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.paths import MIB

# Of the environment only this: a proxy, a certificate bundle or an AWS profile of the user would distort a run.
_KEPT = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}


class RunError(Exception):
    """A measured process failed or did not do its work."""


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds and MiB of one process; `output` is the last line it printed."""

    cpu: float
    wall: float
    peak_mib: float
    output: str


def run(
    command: Sequence[str],
    *,
    cores: set[int],
    env: Mapping[str, str] | None = None,
    enter: Callable[[], None] | None = None,
) -> Run:
    """Runs `command` on `cores`; `enter` is called in the child before it starts (to join a control group). Raises
    RunError when it exits with an error."""

    def prepare() -> None:
        os.sched_setaffinity(0, cores)
        if enter is not None:
            enter()

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env={**_KEPT, **(env or {})}, preexec_fn=prepare)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise RunError(f"exit code {process.returncode}: {err.read().decode(errors='replace')[-600:]}")
        lines = out.read().decode().strip().splitlines()
    return Run(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024 / MIB, lines[-1] if lines else "")
