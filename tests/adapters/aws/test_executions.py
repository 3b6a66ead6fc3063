"""What Step Functions says of an execution, held against its own API model: moto knows no redrive."""

from __future__ import annotations

import datetime

import botocore.session
import pytest
from botocore.stub import Stubber

from sluiceway.aws.executions import Executions

ARN = "arn:aws:states:us-east-1:123456789012:execution:machine:one"


@pytest.mark.parametrize(
    ("status", "more", "redrives"),
    [("RUNNING", {"redriveCount": 2}, 2), ("RUNNING", {}, 0), ("ABORTED", {"redriveCount": 2}, 0)],
)
def test_redrives_count_for_an_execution_that_runs(status: str, more: dict[str, int], redrives: int) -> None:
    client = botocore.session.get_session().create_client(
        "stepfunctions", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    answer = {
        "executionArn": ARN,
        "stateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:machine",
        "status": status,
        "startDate": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        **more,
    }
    with Stubber(client) as stubber:
        stubber.add_response("describe_execution", answer, {"executionArn": ARN, "includedData": "METADATA_ONLY"})
        assert Executions(client).redrives(ARN) == redrives


def test_an_execution_that_is_forgotten_does_not_run() -> None:
    client = botocore.session.get_session().create_client(
        "stepfunctions", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    with Stubber(client) as stubber:
        stubber.add_client_error("describe_execution", "ExecutionDoesNotExist")
        assert Executions(client).redrives(ARN) == 0
