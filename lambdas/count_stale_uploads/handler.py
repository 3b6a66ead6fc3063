"""CountStaleUploads: counts unfinished uploads that no running job can still be working on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sluiceway.control_wiring import services
from sluiceway.sink.stale import count_stale_uploads
from sluiceway.telemetry import STALE_UPLOADS, entry, logger, metrics


@entry(measures=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    config = services().config
    buckets = dict.fromkeys((config.landing_bucket, *config.destination_buckets))
    stale = {bucket: count_stale_uploads(services().s3, bucket, now=datetime.now(UTC)) for bucket in buckets}
    metrics.add_metric(STALE_UPLOADS, "Count", sum(stale.values()))
    logger.info("stale uploads counted", stale=stale)
    return {"stale": stale}
