"""The metrics the functions emit, as CloudWatch reads them back.

Knows the namespace and the one dimension, of lambdas/sluiceway/telemetry.py. Refuses to know what is made of them.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

from sluiceway import telemetry

FIVE_MINUTES = cdk.Duration.minutes(5)


class Measures:
    """`service` is what the functions of one stack give as theirs: POWERTOOLS_SERVICE_NAME."""

    def __init__(self, service: str) -> None:
        self._service = service

    def total(self, name: str, label: str | None = None) -> cloudwatch.Metric:
        return self._metric(name, "Sum", label)

    def mean(self, name: str, label: str | None = None) -> cloudwatch.Metric:
        return self._metric(name, "Average", label)

    def most(self, name: str, label: str | None = None, *, period: cdk.Duration = FIVE_MINUTES) -> cloudwatch.Metric:
        return self._metric(name, "Maximum", label, period)

    def failing_percent(self) -> cloudwatch.MathExpression:
        """Of the files that ended, how many ended FAILED or REJECTED. No files, no point."""
        ends = {
            "stored": telemetry.FILES_STORED,
            "skipped": telemetry.FILES_SKIPPED,
            "rejected": telemetry.FILES_REJECTED,
            "failed": telemetry.FILES_FAILED,
        }
        return cloudwatch.MathExpression(
            # SUM passes over what was never emitted.
            expression="100 * SUM([failed, rejected]) / SUM([failed, rejected, stored, skipped])",
            using_metrics={each: self.total(name) for each, name in ends.items()},
            label="failing, %",
            period=FIVE_MINUTES,
        )

    def _metric(
        self, name: str, statistic: str, label: str | None, period: cdk.Duration = FIVE_MINUTES
    ) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=telemetry.NAMESPACE,
            metric_name=name,
            dimensions_map={"service": self._service},
            statistic=statistic,
            period=period,
            label=label,
        )
