"""Connections: the address each is made to, its TLS, and the places of the pool, against real servers on loopback."""

from __future__ import annotations

import queue
import ssl
import sys
import threading
import time
import traceback
from typing import Any

import pytest
from urllib3.util.ssl_ import create_urllib3_context

from sluiceway.errors import OutOfTimeError, PolicyError, SluicewayError, SourceUnreachableError
from sluiceway.source import connections
from sluiceway.source.client import Client
from sluiceway.source.policy import UrlPolicy
from sluiceway.source.retry import RetryBudget
from tests.adapters.source.clients import BODY, FILE, client_for, read, redirect
from tests.faults.certificates import Certificates
from tests.faults.source import Exchange, Source, Step, serve
from tests.support.waiting import wait_until


def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    """A resolver that answers differently the second time finds no gap: there is no second time."""
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    with Source([serve(FILE)]) as source:
        client = Client(UrlPolicy([f"files.example:{source.port}"], resolver=resolver))
        assert read(client, source.url(host="files.example")) == BODY
        assert asked == ["files.example"]


def test_a_name_that_turns_inward_is_refused_on_its_next_connection(certificates: Certificates) -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    with Source([serve(FILE)]) as source:
        policy = UrlPolicy([f"files.example:{source.port}"], resolver=lambda host, port: next(answers))
        client = Client(policy)
        assert read(client, source.url(host="files.example")) == BODY
        with pytest.raises(PolicyError, match="metadata"):
            read(client, source.url(host="files.example"))


def test_the_second_address_is_tried_when_the_first_refuses() -> None:
    with Source([serve(FILE)]) as source:
        policy = UrlPolicy([f"files.example:{source.port}"], resolver=lambda host, port: ["127.0.0.2", "127.0.0.1"])
        assert read(Client(policy), source.url(host="files.example")) == BODY


def test_tls_verifies_the_name_although_the_address_is_connected_to(certificates: Certificates) -> None:
    with Source([serve(FILE)], tls=certificates.good) as source:
        policy = UrlPolicy(
            [f"files.example:{source.port}", f"localhost:{source.port}"], resolver=lambda host, port: ["127.0.0.1"]
        )
        client = Client(policy, ca_bundle=certificates.ca_bundle, budget=RetryBudget(sleep=lambda seconds: None))
        assert read(client, source.url(host="localhost")) == BODY
        with pytest.raises(SourceUnreachableError, match="TLS"):
            read(client, source.url(host="files.example"))


def test_certificates_are_read_once_for_all_connections(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ssl.SSLContext] = []

    def make(**options: Any) -> ssl.SSLContext:
        made.append(create_urllib3_context(**options))
        return made[-1]

    monkeypatch.setattr(connections, "create_urllib3_context", make)
    with Source([serve(FILE)], tls=certificates.good) as source:
        client = client_for(source, ca_bundle=certificates.ca_bundle)
        assert made == []
        for host in ("127.0.0.1", "localhost", "127.0.0.1"):
            assert read(client, source.url(host=host)) == BODY
        assert source.connections == 3
    assert len(made) == 1


@pytest.mark.parametrize("tls", [False, True])
def test_a_connection_is_kept_for_the_next_file(certificates: Certificates, tls: bool) -> None:
    context = certificates.good if tls else None
    with Source([serve(FILE)], keep_alive=True, tls=context) as source:
        client = client_for(source, ca_bundle=certificates.ca_bundle)
        for _ in range(5):
            assert read(client, source.url()) == BODY
        assert source.connections == 1
        # Else the source waits for the next request on it.
        client.close()


def test_a_connection_is_kept_across_a_redirect() -> None:
    with Source([redirect("/b"), serve(FILE)], keep_alive=True) as source:
        assert read(client_for(source), source.url()) == BODY
        assert source.connections == 1


def test_a_connection_that_the_server_closed_meanwhile_is_replaced() -> None:
    def without_a_word(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Length": len(BODY)})
        exchange.raw(BODY)

    with Source([without_a_word]) as source:
        client = client_for(source)
        for _ in range(3):
            assert read(client, source.url()) == BODY
        assert source.connections == 3


def test_an_abandoned_body_does_not_reach_the_next_file() -> None:
    with Source([serve(FILE)], keep_alive=True) as source:
        client = client_for(source)
        with client.open(source.url()) as download:
            assert len(download.read(10)) == 10
        assert read(client, source.url()) == BODY
        assert source.connections == 2


def test_at_most_ten_connections_stand_to_one_host_and_who_waits_for_one_is_counted_alone() -> None:
    full, release = threading.Semaphore(0), threading.Event()

    def hold(exchange: Exchange) -> None:
        full.release()
        release.wait(30)
        serve(FILE)(exchange)

    with Source([hold], keep_alive=True) as source:
        client, bodies, waits = client_for(source), list[bytes](), dict[threading.Thread, int]()

        def fetch() -> None:
            bodies.append(read(client, source.url()))
            waits[threading.current_thread()] = client.pool_waits

        first, later = ([threading.Thread(target=fetch) for _ in range(number)] for number in (10, 3))
        for thread in first:
            thread.start()
        for _ in first:
            assert full.acquire(timeout=30)
        for thread in later:
            thread.start()
        wait_until(lambda: all(is_queueing(thread) for thread in later))
        assert source.connections == 10
        release.set()
        for thread in (*first, *later):
            thread.join(30)
        assert bodies == [BODY] * 13
        assert source.connections == 10
        assert waits == dict.fromkeys(first, 0) | dict.fromkeys(later, 1)


@pytest.mark.parametrize("phase", ["handshake", "head"])
def test_a_request_waits_no_longer_than_its_time(certificates: Certificates, phase: str) -> None:
    tls = certificates.good if phase == "handshake" else None
    with Source([lambda exchange: exchange.hang()], tls=tls, hang_at_accept=phase == "handshake") as source:
        client = client_for(source, ca_bundle=certificates.ca_bundle, stall_seconds=2.0)
        ends = time.monotonic() + 0.5
        with pytest.raises(OutOfTimeError):
            client.open(source.url(), seconds_left=lambda: ends - time.monotonic())
        assert time.monotonic() - ends < 1
        # The next request of this thread has all the time again.
        assert client._pools.thread.seconds_left() == float("inf")
        assert len(source.requests) == (phase == "head")


def is_queueing(thread: threading.Thread) -> bool:
    """Whether it waits for a connection of the pool, which is a queue of the standard library."""
    frame = sys._current_frames().get(thread.ident or 0)
    return any(each.filename == queue.__file__ for each in traceback.extract_stack(frame))


@pytest.mark.parametrize(
    "misbehave",
    [
        lambda exchange: exchange.reply(404, {}),
        lambda exchange: exchange.reply(404, {}, b"a page about it"),
        lambda exchange: exchange.reply(503, {}, b"busy"),
        lambda exchange: exchange.head(200, {"Content-Length": "many"}),
        lambda exchange: exchange.reply(302, {}, b"nowhere"),
        lambda exchange: exchange.reply(302, {"Location": "http://127.0.0.1:1/"}, b"elsewhere"),
        lambda exchange: exchange.raw(b"220 mail"),
        lambda exchange: exchange.reset(),
        lambda exchange: exchange.head(200, {"Content-Length": 10}),
    ],
    ids=["404", "404 with a body", "503", "no length", "redirect", "refused redirect", "no HTTP", "RST", "cut"],
)
def test_no_failure_keeps_a_place_in_the_pool(misbehave: Step) -> None:
    with Source([misbehave]) as source:
        client = client_for(source, connections_per_host=2)
        for _ in range(5):
            with pytest.raises(SluicewayError):
                read(client, source.url())
        source.steps = [serve(FILE)]
        assert read(client, source.url()) == BODY


def test_an_abandoned_body_gives_its_place_in_the_pool_back() -> None:
    with Source([serve(FILE)]) as source:
        client = client_for(source, connections_per_host=2)
        for _ in range(5):
            with client.open(source.url()) as download:
                download.read(10)
        assert read(client, source.url()) == BODY
