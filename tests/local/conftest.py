from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack import StackError, open_stack
from cli.stack_options import StackName
from local.engine import Engine
from local.http import Server
from local.s3_api import S3
from tests.local.support import CODE, MAX_PROCESSES, Lab, Running, client_of, template


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    landed = tmp_path / "landed"
    s3 = S3(landed)
    server = Server(s3)
    client = client_of("s3", server.url)
    client.create_bucket(Bucket="landing")
    try:
        yield Running(client, server.url, landed, s3)
    finally:
        client.close()
        server.close()
        s3.close()


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    mark = folder / "heard.jsonl"
    early: list[StackError] = []

    def ask(step: str) -> None:
        """What the commands would."""
        if step == "deploying the stack":
            with pytest.raises(StackError) as caught:
                open_stack(StackName("sluiceway", endpoint_url=engine.endpoint_url))
            early.append(caught.value)

    engine = Engine(
        folder / "landed", template=template(mark), code=CODE, max_processes=MAX_PROCESSES, wait_scale=0.001,
        on_step=ask,
    )  # fmt: skip
    with engine:
        yield Lab(engine, mark, early)
