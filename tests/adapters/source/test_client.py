"""The HTTP client's small replies, and what its errors and logs tell, against real servers on loopback."""

from __future__ import annotations

import pytest

from sluiceway.errors import SourceStatusError, SourceUnreachableError, TooLargeError
from tests.adapters.source.clients import FILE, client_for, read
from tests.faults.certificates import Certificates
from tests.faults.source import Source, serve
from tests.faults.steps import closed_properly, with_head


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


def test_fetch_refuses_a_reply_of_no_length_that_tls_did_not_end(certificates: Certificates) -> None:
    reply = with_head("HTTP/1.1 200 OK", b'{"files": []}')
    with Source([closed_properly(reply), reply], tls=certificates.good) as source:
        client = client_for(source, ca_bundle=certificates.ca_bundle)
        assert client.fetch("GET", source.url()).body == b'{"files": []}'
        with pytest.raises(SourceUnreachableError, match="TLS failed"):
            client.fetch("GET", source.url())


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
