"""Credentials in the clear: where a job document may hold a URL or headers, and in other people's lists."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from sluiceway.errors import InvalidJobError
from sluiceway.redact import CREDENTIAL_HEADERS, redact_unforeseen
from sluiceway.source.policy import UrlPolicy
from sluiceway.spec import Entry, load_job
from sluiceway.spec.entries import without_credentials
from sluiceway.spec.links import check_url

LINK = "https://me:planted@h/a?sig=planted"
WHY = "they belong in a secret that auth or headers_secret names"
HTTP: dict[str, Any] = {
    "type": "http",
    "start": {"url": "https://h/exports"},
    "poll": {"url": "https://h/{{ id }}", "status": "s", "status_mapping": {"completed": ["done"]}},
    "files": {"list": "files", "request": {"url": "https://h/files"}, "link": {"url": "https://h/{{ item:id }}"}},
    "download": {},
    "finish": {"url": "https://h/finish"},
    "abort": {"url": "https://h/abort"},
}
REQUESTS = ("start", "poll", "files.request", "files.link", "finish", "abort")


def http(path: str, **more: Any) -> dict[str, Any]:
    """A document whose part at `path` has these fields too."""
    name, _, inner = path.partition(".")
    part = {**HTTP[name], inner: {**HTTP[name][inner], **more}} if inner else {**HTTP[name], **more}
    return {"source": {**HTTP, name: part}}


def told(document: Any) -> list[str]:
    with pytest.raises(InvalidJobError) as caught:
        load_job(document, "x")
    assert "planted" not in str(caught.value)
    return [str(mistake) for mistake in caught.value.mistakes]


def source(**fields: Any) -> dict[str, Any]:
    return {"source": fields}


@pytest.mark.parametrize("path", [*REQUESTS, "download"])
@pytest.mark.parametrize("name", ["Authorization", "cookie", "X-API-Key", "Proxy-Authorization"])
def test_a_credential_among_headers_is_refused_by_its_path(path: str, name: str) -> None:
    said = told(http(path, headers={"Accept": "text/csv", name: "Bearer planted"}))
    assert said == [f"source.{path}.headers: expected headers without credentials: {WHY}, found {name!r}"]
    # What leaves a function passes the redaction, which must not take the mistake itself for a header.
    assert [redact_unforeseen(each) for each in said] == said


@pytest.mark.parametrize(
    ("value", "is_refused"),
    [
        ("Bearer {{ login:body.token }}", False),
        ("session={{ login:body.id }}", False),
        ("{{ token }}", False),
        ("Bearer {{ with:token }}", True),
        ("Bearer planted{{ job:id }}", True),
        ("planted-planted-planted-planted {{ login:body.id }}", True),
    ],
)
def test_a_credential_that_the_api_tells_is_none_of_the_document(value: str, is_refused: bool) -> None:
    start = [{"url": "https://h/login", "name": "login"}, {"url": "https://h/e", "headers": {"Authorization": value}}]
    document = source(**{**HTTP, "start": start, "with": {"token": "t"}})
    if is_refused:
        assert told(document)[0].startswith("source.start[1].headers: expected headers without credentials")
    else:
        assert load_job(document, "x").job_id == "x"


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (source(type="urls", files=["https://h/b", LINK]), "source.files[1].url"),
        (source(type="urls", files=[{"url": "https://planted@h/a"}]), "source.files[0].url"),
        (source(type="manifest", location=LINK), "source.location"),
        (source(type="manifest", location="s3://me:planted@bucket/list.csv"), "source.location"),
        (source(type="fhir-bulk", base_url=LINK), "source.base_url"),
        *((http(path, url=LINK), f"source.{path}.url") for path in REQUESTS),
        (http("start", url="https://{{ with:user }}:planted@h/"), "source.start.url"),
        (http("start", url="{{ with:scheme }}://me:planted@h/"), "source.start.url"),
        (http("start", json={"webhook": [LINK]}), "source.start.json"),
        (http("start", body=f"to={LINK}"), "source.start.body"),
        (http("start", form={"to": LINK}), "source.start.form"),
        (http("start", graphql={"query": "q", "variables": {"to": LINK}}), "source.start.graphql.variables"),
        (http("start", headers={"X-Webhook": LINK}), "source.start.headers"),
        (source(**HTTP, **{"with": {"url": LINK}}), "source.with"),
        (source(**HTTP, auth={"type": "oauth2", "secret": "s", "token_url": LINK}), "source.auth.oauth2.token_url"),
        (source(**HTTP, auth={"type": "oauth2", "secret": "s", "token_url": "https://h/t", "extra": {"a": LINK}}),
         "source.auth.oauth2.extra"),
    ],
)  # fmt: skip
def test_a_password_in_a_url_is_refused_wherever_it_stands(document: dict[str, Any], path: str) -> None:
    (said,) = told(document)
    path = path.replace(".oauth2", "")
    assert said == f"{path}: expected a URL without a user or password: {WHY}, found one with them"


passwords = st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P", "S"], exclude_characters="/?#"))


@given(passwords, st.sampled_from(["https", "http", "sftp"]))
def test_a_password_is_refused_whatever_characters_it_has(password: str, scheme: str) -> None:
    url = f"{scheme}://me:planted{password}@h/a?sig=planted"
    (said,) = told(source(type="urls", files=[url]))
    assert said == f"source.files[0].url: expected a URL without a user or password: {WHY}, found one with them"
    (said,) = told(http("start", json={"webhook": url}))
    assert said.startswith("source.start.json: expected a URL without a user or password")
    hidden = without_credentials(Entry({"url": url}, "line 1", literal=True))
    assert "planted" not in str(hidden) or "[" in password or "]" in password


@pytest.mark.parametrize("password", ["it's", 'a"b', "<b>c", "it'"])
def test_a_password_with_quotes_is_found_inside_a_text(password: str) -> None:
    (said,) = told(http("start", body=f"send it to https://me:{password}@h/a please"))
    assert said.startswith("source.start.body: expected a URL without a user or password")


@pytest.mark.parametrize(
    "body",
    ['{"url":"https://h:8443","mail":"me:x@h"}', "'https://h:8443'||'me:x@h'", "<https://h:8443>, me:x@h",
     "https://h:8443 me:x@h", r'{\"url\":\"https://h:8443\",\"mail\":\"x@h\"}'],
)  # fmt: skip
def test_what_stands_behind_a_url_is_no_password(body: str) -> None:
    assert load_job(http("start", body=body), "x").job_id == "x"


@pytest.mark.parametrize(
    "url", ["https://h/a@b", "https://h/?mail=me@h", "https://h/x?next=https://me:pw@h", "https://redacted@h/a"]
)
def test_an_at_sign_elsewhere_is_no_password(url: str) -> None:
    assert load_job(source(type="urls", files=[{"url": url, "key": "k"}]), "x").job_id == "x"


def test_of_a_password_in_a_list_of_others_only_that_there_was_one_is_kept() -> None:
    hidden = "https://redacted@h/a?redacted"
    for raw, expected in ((LINK, hidden), ({"url": LINK, "key": "k"}, {"url": hidden, "key": "k"})):
        kept = without_credentials(Entry(raw, "line 1", literal=True))
        assert kept == Entry(expected, "line 1", literal=True)
        assert without_credentials(kept) == kept
    for raw in ("https://h/a?sig=1", {"key": "k"}, None, 5):
        assert without_credentials(Entry(raw, "line 1")).raw == raw


HOST = "a URL whose host is letters, digits, dots and hyphens (xn-- for others), or an address"


@pytest.mark.parametrize(
    ("url", "expected", "shown"),
    [
        ("https://h:99999/a", "a URL whose port is a number from 1 to 65535", "https://h:99999/a"),
        ("https://h:0/a", "a URL whose port is a number from 1 to 65535", "https://h:0/a"),
        ("https://h:x/a?sig=planted", "a URL whose port is a number from 1 to 65535", "https://h:x/a"),
        ("http:///a", "a URL that names a host, like https://host/path", "http:///a"),
        ("https://[::1/a", "a URL whose host is a name or an address, IPv6 in brackets", "https://[::1/a"),
        ("ftp://h/a", "a URL like https://host/path", "ftp://h/a"),
        ("https://h/a#part", "a URL without a fragment, which no server sees", "https://h/a"),
        ("https://h/a\\b", "a URL without spaces, control characters and backslashes", "https://h/a\\b"),
        ("https://h/a b", "a URL without spaces, control characters and backslashes", "https://h/a b"),
        ("https://b\u00fccher/a", HOST, "https://b\u00fccher/a"),
        ("https://h%2eexample/a", HOST, "https://h%2eexample/a"),
        ("https://h/\u200ba", "a URL of characters that can be printed", "https://h/\u200ba"),
        ("https://h/" + "a" * 9000, "a URL of at most 8192 characters", "https://h/" + "a" * 70 + "\u2026"),
    ],
)
def test_what_is_wrong_with_a_url_is_told(url: str, expected: str, shown: str) -> None:
    (said,) = told(source(type="urls", files=[url]))
    assert said == f"source.files[0].url: expected {expected}, found {shown!r}"


@given(st.text(alphabet="aZ0.-_:/?#\\%[]@ \t\u200b\u3002\u212a\u00fc", max_size=12))
def test_a_url_that_a_document_may_hold_is_not_refused_for_its_spelling_later(odd: str) -> None:
    try:
        url = check_url(f"https://{odd}")
    except PydanticCustomError:
        return
    assert UrlPolicy().check(url).scheme == "https"


@pytest.mark.parametrize("rest", ["#part", "\\b", " b", ":0/"])
def test_what_follows_a_value_in_a_url_is_judged_too(rest: str) -> None:
    assert len(told({**http("start", url="{{ with:base }}" + rest)})) == 1


def test_the_names_of_credential_headers_are_spelt_as_they_are_compared() -> None:
    assert {name.lower() for name in CREDENTIAL_HEADERS} == CREDENTIAL_HEADERS
