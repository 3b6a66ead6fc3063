"""One engine a landed folder: a lock file that tells by whose process the folder is taken.

Knows the lock of the operating system, which ends with the process that holds it: whatever a dead engine wrote there
binds nobody. Two engines would each keep a table of jobs of its own, and one job id would be two jobs in one folder.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from local.folder import FolderUnusableError


class FolderBusyError(FolderUnusableError):
    """Another engine keeps its objects in the folder. `pid` is its process, None while it is just starting."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        found = f"the engine of process {pid or '(unknown)'} keeps its objects in {folder}"
        super().__init__(found, "a folder that no other engine uses meanwhile")
        self.folder = folder
        self.pid = pid


class Claim:
    """Holds `folder`, whose lock file is `file`, until `close`. Raises FolderBusyError."""

    def __init__(self, folder: Path, file: Path) -> None:
        # Never removed: a lock on a file that is gone would exclude nobody.
        self._file = open(file, "a+")  # noqa: SIM115  held until close()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with self._file:
                self._file.seek(0)
                said = self._file.read().strip()
            raise FolderBusyError(folder, int(said) if said.isdigit() else None) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def close(self) -> None:
        """Frees the folder. A second time changes nothing."""
        if not self._file.closed:
            self._file.truncate(0)
            self._file.close()
