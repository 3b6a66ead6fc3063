"""When to try a source again, and after how long. Pure arithmetic over what the server said.

One owner: only source/ retries downloads. The budget counts attempts without progress, so a download that moves on
between two cuts is never given up.
"""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

# RFC 9110: request timeout; RFC 8470: too early; RFC 6585: too many requests; and the server's own failures, those of
# proxies and CDNs (520 to 530) among them.
RETRYABLE_STATUSES = frozenset({408, 425, 429, *range(500, 600)})

# Those of them by which a server says that there are too many of us.
OVERRUN = frozenset({429, 503})

# What a signed link answers once it has expired or been revoked.
DEAD_LINK_STATUSES = frozenset({401, 403, 410})
# What some answer for a link that has expired, and others for a request that is wrong: Google for links of version 4,
# S3 for those whose signer's session is over ("ExpiredToken").
MAYBE_DEAD_LINK_STATUS = 400


def is_dead_link(status: int, url: str) -> bool:
    """Whether a reply of `status` says of the link `url` that it has expired or been revoked."""
    if status != MAYBE_DEAD_LINK_STATUS:
        return status in DEAD_LINK_STATUSES
    # Here, not above: few links ever come to it.
    from sluiceway.source.expiry import may_have_expired

    return may_have_expired(url)


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """Seconds; `attempts` is how many tries in a row may fail with fewer than `progress_bytes` moved between two of
    them: a server that hands out a byte a connection makes no progress."""

    attempts: int = 4
    base_seconds: float = 0.5
    cap_seconds: float = 20.0
    retry_after_cap_seconds: float = 120.0
    progress_bytes: int = 64 * 1024
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def pause(self, failures: int, retry_after: str | None = None) -> None:
        """Waits before the next try, `failures` tries after the last progress."""
        self.sleep(self.pause_seconds(failures, retry_after))

    def pause_seconds(self, failures: int, retry_after: str | None = None) -> float:
        """Full jitter over an exponential ceiling, or as long as the server asked for, with a cap."""
        asked = self._asked_seconds(retry_after)
        if asked is not None:
            return asked
        ceiling: float = min(self.cap_seconds, self.base_seconds * 2 ** (failures - 1))
        return self.jitter() * ceiling

    def plea_seconds(self, status: int, retry_after: str | None) -> float | None:
        """For how long a host that is overrun asks to be left alone, with the same cap; None where it does not."""
        return self._asked_seconds(retry_after) if status in OVERRUN else None

    def _asked_seconds(self, retry_after: str | None) -> float | None:
        asked = parse_retry_after(retry_after)
        return None if asked is None else min(asked, self.retry_after_cap_seconds)


def parse_retry_after(value: str | None, *, now: Callable[[], float] = time.time) -> float | None:
    """Seconds from now that a Retry-After header asks for (RFC 9110, 10.2.3: seconds or an HTTP date), 0 for a date
    gone by, None when absent or nonsense."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, moment - now())
