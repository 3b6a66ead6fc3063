"""Shows files in flight to whoever watches, once they take longer than `progress_seconds`.

Knows the progress row, which costs a write only now and then. A picture for the onlooker is never worth the file.
"""

from __future__ import annotations

import time

from botocore.exceptions import BotoCoreError, ClientError

from sluiceway.jobs.files import FileTask
from sluiceway.wiring import Services


class Progress:
    """Call it with the bytes moved so far; `bytes` is the last it was told."""

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
        self._show(bytes)

    def _show(self, bytes: int) -> None:
        try:
            self._services.files.set_progress(self._job_id, self._task, bytes)
        except (ClientError, BotoCoreError):
            return  # the next interval tries again

    def remove(self) -> None:
        if self._written:
            self._services.files.remove_progress(self._job_id, self._task)
