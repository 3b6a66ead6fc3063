"""How long to wait before an export API is asked again, and when to stop asking.

Pure arithmetic over what the server said and the job document allows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Protocol

from sluiceway.errors import ExportTimeoutError
from sluiceway.exports.standing import Export
from sluiceway.redact import redact_url
from sluiceway.source.retry import parse_retry_after

BACKOFF = 1.5
MAX_RETRY_AFTER_SECONDS = 3600.0


class Patience(Protocol):
    @property
    def interval_seconds(self) -> float: ...
    @property
    def max_interval_seconds(self) -> float: ...
    @property
    def timeout_minutes(self) -> float: ...
    @property
    def max_polls(self) -> int: ...


def check_patience(patience: Patience, export: Export) -> None:
    """Raises ExportTimeoutError when no further poll is due."""
    where, told = redact_url(str(export.poll_url)), f", told last: {export.told}" if export.told else ""
    if export.polls >= patience.max_polls:
        raise ExportTimeoutError(f"{where}: not done after {patience.max_polls} polls{told}")
    if time.time() > export.started_at + patience.timeout_minutes * 60:
        raise ExportTimeoutError(f"{where}: not done after {patience.timeout_minutes:g} minutes{told}")


def seconds_to_wait(patience: Patience, export: Export, headers: Mapping[str, str]) -> int:
    """Whole seconds until the next poll: as the server asks, with a cap, else the interval grown with each poll; never
    far past the time the export is given."""
    asked = parse_retry_after(headers.get("Retry-After") or headers.get("retry-after"))
    if asked is not None:
        wait = min(asked, getattr(patience, "max_retry_after_seconds", MAX_RETRY_AFTER_SECONDS))
    else:
        # Past a hundred polls the power would only overflow.
        grown = patience.interval_seconds * getattr(patience, "backoff", BACKOFF) ** min(export.polls, 100)
        wait = min(grown, max(patience.interval_seconds, patience.max_interval_seconds))
    left = export.started_at + patience.timeout_minutes * 60 - time.time()
    return max(1, math.ceil(min(wait, left + 1)))
