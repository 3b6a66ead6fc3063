"""What a job reads of the table, as the cost function counts it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sluiceway.aws import clients
from sluiceway.cost import READS_A_FILE
from tests.support.deployment import Deployment
from tests.support.source import Reply, SourceServer

FILES = 20


@pytest.mark.parametrize("size", [{"size": 3}, {}], ids=["a batch", "a unit each"])
def test_a_file_is_read_before_it_begins_and_for_the_report(
    deployment: Deployment, source: SourceServer, monkeypatch: pytest.MonkeyPatch, size: dict[str, int]
) -> None:
    client, read = clients.dynamodb(), Counter[str]()
    ask = client.batch_get_item

    def counted(**arguments: Any) -> Any:
        (asked,) = arguments["RequestItems"].values()
        read.update(key["sk"]["S"] for key in asked["Keys"] if key["sk"]["S"].startswith("FILE#"))
        return ask(**arguments)

    monkeypatch.setattr(client, "batch_get_item", counted)
    source.replies |= {f"/{n}": Reply(b"abc") for n in range(FILES)}
    listed = {"type": "urls", "files": [{"url": source.url(f"/{n}"), **size} for n in range(FILES)]}

    assert deployment.run({"job_id": "read", "source": listed})["files"]["stored"] == FILES

    assert list(read.values()) == [READS_A_FILE] * FILES
