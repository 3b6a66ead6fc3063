"""Redirects, and where credentials go along with them, between real servers on loopback."""

from __future__ import annotations

import pytest

from sluiceway.errors import PolicyError, SourceProtocolError
from tests.adapters.source.clients import BODY, FILE, client_for, read, redirect
from tests.faults.certificates import Certificates
from tests.faults.source import Source, serve
from tests.faults.steps import raw

CREDENTIALS = {"Authorization": "Bearer s3cret", "Cookie": "a=s3cret", "X-Api-Key": "s3cret", "Accept": "text/csv"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(status: int) -> None:
    with Source([redirect("/b?x=1", status), serve(FILE)]) as source:
        assert read(client_for(source), source.url("/a")) == BODY
        assert source.paths == ["/a", "/b?x=1"]


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/b/é日.csv".encode(), "/b/%C3%A9%E6%97%A5.csv"),
        ("/b/é.csv".encode("latin-1"), "/b/%C3%A9.csv"),
        (b"/b/%C3%A9.csv", "/b/%C3%A9.csv"),
    ],
    ids=["UTF-8", "Latin-1", "ASCII"],
)
def test_a_redirect_to_a_name_beyond_ascii_is_followed(location: bytes, path: str) -> None:
    with Source([raw(b"HTTP/1.1 302 Found\r\nLocation: %b\r\n\r\n" % location), serve(FILE)]) as source:
        assert read(client_for(source), source.url("/a")) == BODY
        assert source.paths[1] == path


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
