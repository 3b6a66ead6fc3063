"""Shows files in flight to whoever watches, once they take longer than `progress_seconds`.

Knows the progress row, which costs a write only now and then. A picture for the onlooker is never worth the file.
"""

from __future__ import annotations

import time

from botocore.exceptions import BotoCoreError, ClientError

from sluiceway.jobs.files import FileTask
from sluiceway.wiring import Services


class Progress:
    """Call it with the bytes moved so far; `bytes` is the last it was told. `end` takes the row away."""

    def __init__(self, services: Services, job_id: str, task: FileTask) -> None:
        self._services, self._job_id, self._task = services, job_id, task
        self._written = False
        self._shown_at = time.monotonic()
        self.bytes = 0

    def __call__(self, bytes: int) -> None:
        self.bytes = bytes
        if time.monotonic() - self._shown_at < self._services.config.progress_seconds:
            return
        self._shown_at, self._written = time.monotonic(), True
        self._show()

    def _show(self) -> None:
        try:
            self._write()
        except (ClientError, BotoCoreError):
            return  # the next interval tries again

    def _write(self) -> None:
        self._services.files.set_progress(self._job_id, self._task, self.bytes)

    def end(self) -> None:
        if self._written:
            self._services.files.remove_progress(self._job_id, self._task)


class SharedProgress(Progress):
    """Of a file that several functions move: what each has moved beyond byte `begun`, where it began, is added up. One
    that is repeated adds twice. `end` adds the rest; the row is for whoever finishes the file to take away."""

    def __init__(self, services: Services, job_id: str, task: FileTask, begun: int) -> None:
        super().__init__(services, job_id, task)
        self.bytes = self._told = begun

    def _write(self) -> None:
        moved = self.bytes - self._told
        self._services.files.add_progress(self._job_id, self._task, moved)
        self._told += moved

    def end(self) -> None:
        if self.bytes > self._told:
            self._show()
