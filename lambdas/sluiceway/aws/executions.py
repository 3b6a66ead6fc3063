"""Asks Step Functions about an execution: whether it runs, and how often it has been redriven.

Knows DescribeExecution. Refuses to know what follows from the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Executions:
    """`client` is a botocore client for `stepfunctions`."""

    client: Any

    def redrives(self, execution: str) -> int:
        """How often an execution that runs has been redriven; 0 for one that does not run, or that Step Functions has
        forgotten. Its input, which may hold links, is not asked for. Raises botocore's errors."""
        try:
            found = self.client.describe_execution(executionArn=execution, includedData="METADATA_ONLY")
        except self.client.exceptions.ExecutionDoesNotExist:
            return 0
        return int(found.get("redriveCount", 0)) if found["status"] == "RUNNING" else 0
