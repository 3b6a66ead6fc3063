"""A slice of the machine like that of a small function: 0.289 of a core and 512 MiB, by control groups.

Knows both versions of Linux's control groups. Where neither can be written to, `Slice.why_not` says so.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from bench.paths import MIB
from sluiceway.config import MB_A_VCPU

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
CORE_SHARE = 512 / MB_A_VCPU
MEMORY_BYTES = 512 * MIB


class Slice:
    """A context manager; `enter`, called in a process, puts it into the slice."""

    def __init__(self, name: str = "sluiceway-bench") -> None:
        quota = str(int(PERIOD_US * CORE_SHARE))
        if (ROOT / "cgroup.controllers").exists():
            self._folders = {
                ROOT / name: {"cpu.max": f"{quota} {PERIOD_US}", "memory.max": str(MEMORY_BYTES)},
            }
            self._joined = "cgroup.procs"
        else:
            self._folders = {
                ROOT / "cpu" / name: {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": quota},
                ROOT / "memory" / name: {"memory.limit_in_bytes": str(MEMORY_BYTES)},
            }
            self._joined = "tasks"
        self.why_not = ""

    def __enter__(self) -> Slice:
        try:
            for folder, values in self._folders.items():
                folder.mkdir(exist_ok=True)
                for file, value in values.items():
                    (folder / file).write_text(value)
        except OSError as error:
            self.why_not = f"control groups cannot be set up here: {error}"
        return self

    def enter(self) -> None:
        for folder in self._folders:
            (folder / self._joined).write_text(str(os.getpid()))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for folder in self._folders:
            if folder.exists():
                folder.rmdir()
