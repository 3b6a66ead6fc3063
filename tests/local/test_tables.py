"""Conditional writes at the same moment, as functions send them: one of them holds, as in DynamoDB."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.session
import pytest
from moto.dynamodb.models.table import Table

from local import tables
from local.patches import Patches
from sluiceway.aws.slots import SlotTable
from tests.conftest import AwsServer


@pytest.fixture
def slots(moto_server: AwsServer) -> Iterator[SlotTable]:
    patches = Patches()
    tables.install(patches)
    endpoint = moto_server.env["AWS_ENDPOINT_URL_S3"]
    client: Any = botocore.session.get_session().create_client(
        "dynamodb", region_name="us-east-1", endpoint_url=endpoint, aws_access_key_id="a", aws_secret_access_key="a"
    )
    keys = {"pk": "HASH", "sk": "RANGE"}
    client.create_table(
        TableName="at-once",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
    )
    try:
        yield SlotTable(client, "at-once")
    finally:
        client.delete_table(TableName="at-once")
        patches.close()


def test_of_two_who_take_a_slot_at_once_one_has_it(slots: SlotTable, monkeypatch: pytest.MonkeyPatch) -> None:
    both, look = threading.Barrier(2), Table.get_item

    def look_together(*arguments: Any) -> Any:
        """Nobody writes before the other has looked too, unless the other is not let in."""
        found = look(*arguments)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.2)
        return found

    monkeypatch.setattr(Table, "get_item", look_together)
    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(lambda owner: slots.take("job", "host", 1, owner), ("one", "other")))
    assert [slot is None for slot in taken].count(False) == 1
