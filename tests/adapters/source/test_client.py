"""The HTTP client against real servers on loopback: redirects, credentials, connections and small replies."""

from __future__ import annotations

import queue
import sys
import threading
import traceback

import pytest

from sluiceway.errors import (
    PolicyError,
    SluicewayError,
    SourceProtocolError,
    SourceStatusError,
    SourceUnreachableError,
    TooLargeError,
)
from sluiceway.source.client import Client
from sluiceway.source.policy import UrlPolicy
from sluiceway.source.retry import RetryBudget
from tests.faults.certificates import Certificates, make_certificates
from tests.faults.source import Exchange, File, Source, Step, pattern, serve
from tests.support.waiting import wait_until

BODY = pattern(300_000)
FILE = File(BODY)
CREDENTIALS = {"Authorization": "Bearer s3cret", "Cookie": "a=s3cret", "X-Api-Key": "s3cret", "Accept": "text/csv"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def client_for(*sources: Source, **more: object) -> Client:
    hosts = [host for source in sources for host in (source.host, f"localhost:{source.port}")]
    budget = RetryBudget(sleep=lambda seconds: None)
    return Client(UrlPolicy(hosts), budget=budget, **more)  # type: ignore[arg-type]


def redirect(to: str, status: int = 302) -> Step:
    return lambda exchange: exchange.reply(status, {"Location": to})


def read(client: Client, url: str, headers: dict[str, str] | None = None) -> bytes:
    with client.open(url, headers=headers) as download:
        return download.read()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(status: int) -> None:
    with Source([redirect("/b?x=1", status), serve(FILE)]) as source:
        assert read(client_for(source), source.url("/a")) == BODY
        assert source.paths == ["/a", "/b?x=1"]


def test_five_redirects_are_followed_and_a_sixth_is_not() -> None:
    with Source([*[redirect("/x")] * 5, serve(FILE)]) as source:
        assert read(client_for(source), source.url()) == BODY
    with Source([*[redirect("/x")] * 6, serve(FILE)]) as source:
        with pytest.raises(SourceProtocolError, match="more than 5 redirects"):
            read(client_for(source), source.url())
        assert len(source.requests) == 6


def test_credentials_stay_with_their_own_origin() -> None:
    with Source([serve(FILE)]) as other, Source([redirect(other.url("/b"))]) as source:
        assert read(client_for(source, other), source.url(), CREDENTIALS) == BODY
        assert source.requests[0]["authorization"] == "Bearer s3cret"
        assert "s3cret" not in str(other.requests)
        assert other.requests[0]["accept"] == "text/csv"


def test_credentials_do_not_come_back_once_they_were_left_behind() -> None:
    with Source([serve(FILE)]) as other:
        back: list[str] = []
        with Source([redirect(other.url()), serve(FILE)]) as source:
            back.append(source.url("/again"))
            other.steps = [redirect(back[0])]
            assert read(client_for(source, other), source.url(), CREDENTIALS) == BODY
            assert "s3cret" not in str(source.requests[1])


def test_credentials_follow_within_the_origin() -> None:
    with Source([redirect("/b"), serve(FILE)]) as source:
        read(client_for(source), source.url(), CREDENTIALS)
        assert source.requests[1]["authorization"] == "Bearer s3cret"


def test_another_port_is_another_origin_and_so_is_another_name() -> None:
    with Source([serve(FILE)]) as source:
        source.steps = [redirect(source.url("/b", host="localhost")), serve(FILE)]
        read(client_for(source), source.url(), CREDENTIALS)
        assert "s3cret" not in str(source.requests[1])


def test_a_body_is_not_redirected_to_another_host() -> None:
    with Source([serve(FILE)]) as other, Source([redirect(other.url(), 307)]) as source:
        with pytest.raises(PolicyError, match="with a body"):
            client_for(source, other).fetch("POST", source.url(), body=b"s3cret")
        assert other.requests == []


def test_a_redirect_from_https_to_http_is_refused(certificates: Certificates) -> None:
    with Source([serve(FILE)]) as plain, Source([redirect(plain.url())], tls=certificates.good) as source:
        with pytest.raises(PolicyError, match="from https to http"):
            read(client_for(source, plain, ca_bundle=certificates.ca_bundle), source.url())
        assert plain.requests == []


def test_a_redirect_inward_is_refused_before_it_is_connected_to() -> None:
    with Source([serve(FILE)]) as inner, Source([redirect(f"https://127.0.0.1:{inner.port}/")]) as source:
        with pytest.raises(PolicyError, match="not a public address"):
            read(client_for(source), source.url())
        assert inner.connections == 0


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


@pytest.mark.parametrize("tls", [False, True])
def test_a_connection_is_kept_for_the_next_file(certificates: Certificates, tls: bool) -> None:
    context = certificates.good if tls else None
    with Source([serve(FILE)], keep_alive=True, tls=context) as source:
        client = client_for(source, ca_bundle=certificates.ca_bundle)
        for _ in range(5):
            assert read(client, source.url()) == BODY
        assert source.connections == 1


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


def test_fetch_returns_any_status_with_its_body() -> None:
    with Source([lambda exchange: exchange.reply(418, {"X-Tea": "yes"}, b"short and stout")]) as source:
        reply = client_for(source).fetch("GET", source.url())
    assert (reply.status, reply.body, reply.headers["x-tea"]) == (418, b"short and stout", "yes")


def test_fetch_sends_a_body_and_headers() -> None:
    with Source([lambda exchange: exchange.reply(202, {})]) as source:
        client_for(source).fetch("POST", source.url(), headers={"Content-Type": "application/json"}, body=b"{}")
        assert source.requests[0]["content-type"] == "application/json"
        assert source.requests[0]["content-length"] == "2"


def test_fetch_refuses_a_reply_over_its_limit() -> None:
    with Source([serve(FILE)]) as source, pytest.raises(TooLargeError, match="exceeds 1000 bytes"):
        client_for(source).fetch("GET", source.url(), max_bytes=1000)


def test_fetch_does_not_retry() -> None:
    with Source([lambda exchange: exchange.reply(503, {})]) as source:
        assert client_for(source).fetch("POST", source.url(), body=b"x").status == 503
        assert len(source.requests) == 1


def test_a_refused_connection_is_unreachable() -> None:
    with Source([serve(FILE)]) as source:
        client, url = client_for(source), source.url("/a?sig=s3cret")
    with pytest.raises(SourceUnreachableError, match="Connection refused") as caught:
        client.open(url)
    assert "s3cret" not in str(caught.value)


def test_an_error_names_status_and_redacted_url() -> None:
    with Source([lambda exchange: exchange.reply(404, {})]) as source:
        with pytest.raises(SourceStatusError, match=r"/a\?redacted: expected status 200, received 404") as caught:
            client_for(source).open(source.url("/a?sig=s3cret"))
        assert caught.value.status == 404


def test_urllib3_does_not_log_a_signature(caplog: pytest.LogCaptureFixture) -> None:
    with Source([serve(FILE)]) as source, caplog.at_level("DEBUG"):
        read(client_for(source), source.url("/a?sig=s3cret"))
    assert "/a" in caplog.text
    assert "s3cret" not in caplog.text
