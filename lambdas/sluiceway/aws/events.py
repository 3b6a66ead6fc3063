"""Puts events on the bus of EventBridge.

Knows how many events go in one request and that a request may be accepted in part. Refuses to know what an event
means.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sluiceway.errors import PublishError
from sluiceway.jobs.events import SOURCE, Event

# PutEvents takes at most 10 entries (API reference of EventBridge, PutEvents, Entries).
ENTRIES = 10
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class EventBus:
    """`client` is a botocore client for `events`. `sleep` takes seconds."""

    client: Any
    name: str
    sleep: Callable[[float], None] = time.sleep

    def publish(self, events: Iterable[Event]) -> None:
        """Raises PublishError if EventBridge goes on refusing some of them. A call that fails as a whole is
        botocore's to retry; entries refused inside a call that succeeded are sent again from here."""
        entries = [self._entry(event) for event in events]
        for start in range(0, len(entries), ENTRIES):
            self._put(entries[start : start + ENTRIES])

    def _put(self, entries: Sequence[dict[str, str]]) -> None:
        for attempt in range(ATTEMPTS):
            if attempt:
                self.sleep(random.uniform(0, 0.1 * 2**attempt))
            answers = self.client.put_events(Entries=entries)["Entries"]
            refused = [(entry, answer) for entry, answer in zip(entries, answers, strict=True) if "ErrorCode" in answer]
            if not refused:
                return
            entries = [entry for entry, _ in refused]
        codes = sorted({answer["ErrorCode"] for _, answer in refused})
        raise PublishError(f"EventBridge refused {len(refused)} event(s) {ATTEMPTS} times: {', '.join(codes)}")

    def _entry(self, event: Event) -> dict[str, str]:
        return {
            "Source": SOURCE,
            "DetailType": event.detail_type,
            "Detail": json.dumps(event.detail, ensure_ascii=False),
            "EventBusName": self.name,
        }
