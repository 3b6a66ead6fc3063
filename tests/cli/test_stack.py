"""How a stack that cannot be asked is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cli.stack import StackError, open_stack
from cli.stack_options import StackName


@pytest.fixture
def no_aws() -> Iterator[str]:
    """A web server that knows no POST, and says so in HTML."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Silent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _Silent(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def test_a_server_that_is_no_aws_is_told(no_aws: str) -> None:
    with pytest.raises(StackError, match="what answers there is no AWS; see --endpoint-url"):
        open_stack(StackName("sluiceway", endpoint_url=no_aws))
