"""A client of servers on loopback, the file that they serve, and the steps that lead to it."""

from __future__ import annotations

from sluiceway.source.client import Client
from sluiceway.source.policy import UrlPolicy
from sluiceway.source.retry import RetryBudget
from tests.faults.source import File, Source, Step, pattern

BODY = pattern(300_000)
FILE = File(BODY)


def client_for(*sources: Source, **more: object) -> Client:
    hosts = [host for source in sources for host in (source.host, f"localhost:{source.port}")]
    budget = RetryBudget(sleep=lambda seconds: None)
    return Client(UrlPolicy(hosts), budget=budget, **more)  # type: ignore[arg-type]


def redirect(to: str, status: int = 302) -> Step:
    return lambda exchange: exchange.reply(status, {"Location": to})


def read(client: Client, url: str, headers: dict[str, str] | None = None) -> bytes:
    with client.open(url, headers=headers) as download:
        return download.read()
