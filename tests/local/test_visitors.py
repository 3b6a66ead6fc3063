"""Web pages are refused by every server of the engine; programs of this machine are not."""

from __future__ import annotations

import http.client
from collections.abc import Mapping

import pytest

from local.visitors import is_loopback
from tests.local.support import Lab, Running

DELETE = b"<Delete><Object><Key>k</Key></Object></Delete>"


def ask(url: str, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> tuple[int, str]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    try:
        connection.request(method, path, body, dict(headers))
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:4700", "null"])
def test_a_page_deletes_no_object(running: Running, origin: str) -> None:
    running.client.put_object(Bucket="landing", Key="k", Body=b"1")
    headers = {"Origin": origin, "Content-Type": "text/plain"}
    status, said = ask(running.url, "POST", "/landing?delete", headers, DELETE)
    assert (status, "web pages may not use this server" in said) == (403, True)
    assert (running.landed / "landing/k").exists()


def test_a_page_does_not_reset_the_services(lab: Lab) -> None:
    parameters = lab.engine.client("ssm")
    parameters.put_parameter(Name="kept", Value="1", Type="String")
    assert ask(lab.engine.endpoint_url, "POST", "/moto-api/reset", {"Origin": "https://evil.example"})[0] == 403
    assert parameters.get_parameter(Name="kept")["Parameter"]["Value"] == "1"


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
def test_an_image_of_a_page_asks_nothing_either(running: Running, site: str, status: int) -> None:
    running.client.put_object(Bucket="landing", Key="k", Body=b"1")
    assert ask(running.url, "GET", "/landing/k", {"Sec-Fetch-Site": site})[0] == status


def test_a_name_that_was_made_to_lead_here_reads_nothing(running: Running) -> None:
    running.client.put_object(Bucket="landing", Key="k", Body=b"1")
    status, said = ask(running.url, "GET", "/landing/k", {"Host": "evil.example:4700"})
    assert status == 403
    assert said.endswith("localhost or a name below it, not as Host: evil.example:4700\n")


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("127.0.0.1:4700", "/landing/k"),
        ("127.8.9.10", "/landing/k"),
        ("[::1]:4700", "/landing/k"),
        ("localhost:4700", "/landing/k"),
        ("LOCALHOST", "/landing/k"),
        ("landing.localhost:4700", "/k"),
    ],
)
def test_whoever_asks_this_machine_is_answered(running: Running, host: str, path: str) -> None:
    running.client.put_object(Bucket="landing", Key="k", Body=b"1")
    assert ask(running.url, "GET", path, {"Host": host}) == (200, "1")


@pytest.mark.parametrize(
    "host", ["localhost.evil.example", "evil-localhost", "127.0.0.1.evil.example", "0.0.0.0:4700", "10.0.0.1", "[::1"]
)
def test_names_that_only_look_like_this_machine_are_none(host: str) -> None:
    assert not is_loopback(host)
