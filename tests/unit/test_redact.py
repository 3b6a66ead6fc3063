"""What is taken out of URLs, of texts that others wrote, and of errors that nobody foresaw."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiceway import redact
from sluiceway.errors import InvalidJobError, JobIsLiveError

QUERY, USER, HEADER, KEPT = "planted-query", "planted-user", "planted-header", "planted/kept=="
LINK = f"https://me:{USER}@files.example.org/a?sig={QUERY}"
TEXTS = {
    "a link": f"it broke at {LINK}",
    "a link in quotes": f'it broke at "{LINK}", and again',
    "a path alone, as urllib3 has it": f"Max retries exceeded with url: /a?sig={QUERY} (Caused by None)",
    "headers as Python shows them": str({"Authorization": f"Bearer {HEADER}", "Accept": "*/*"}),
    "headers in pairs": str([("authorization", f"Basic {HEADER}")]),
    "headers as sent": f"GET / HTTP/1.1\r\nX-Api-Key: {HEADER}\r\nHost: h",
    "a secret that was read": f"unexpected token {KEPT} at 7",
}


@pytest.fixture(autouse=True)
def in_mind() -> Iterator[None]:
    redact.remember_secret(KEPT)
    yield
    redact.IN_MIND.clear()


def shown(error: BaseException) -> str:
    """As Python prints an error that nobody caught, with all that is behind it."""
    return "".join(traceback.format_exception(error))


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:
        return caught


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_secret_is_left_in_a_text_and_none_in_an_error(text: str) -> None:
    assert "planted" in text
    found = redact.redact_unforeseen(text)
    assert "planted" not in found and redact.REDACTED in found
    assert redact.redact_unforeseen(found) == found

    error = redact.redact_error(raised(RuntimeError(text)))
    assert (type(error), str(error)) == (RuntimeError, found)


@pytest.mark.parametrize("text", ["expected status 200, received 403", "source.files[3].url: expected a URL", "why?"])
def test_a_text_without_a_secret_stays_as_it_is(text: str) -> None:
    assert redact.redact_unforeseen(text) == text
    error = raised(JobIsLiveError(text))
    assert redact.redact_error(error) is error and str(error) == text


FRAMES: dict[str, Callable[[str], str]] = {
    "alone": str,
    "in a sentence": lambda url: f"it broke at {url}, they say",
    "as Python shows it": lambda url: repr({"at": url}),
    "in JSON": lambda url: json.dumps({"text": "see " + url, "url": url, "state": "BROKEN"}, separators=(",", ":")),
    "in JSON of JSON": lambda url: json.dumps(json.dumps({"url": url})),
    "in JSON of PHP": lambda url: json.dumps({"url": url}).replace("/", r"\/"),
    "in JSON of Go": lambda url: json.dumps({"url": url}).replace("&", r"\u0026").replace("<", r"\u003c"),
    "in XML": lambda url: f"<loc>{url}</loc>",
    "in single quotes": lambda url: f"at '{url}'",
    "in double quotes": lambda url: f'at "{url}"',
    "in brackets": lambda url: f"at <{url}>",
}
# What no URL should hold, and servers write all the same.
raw = st.text(alphabet="ab'\"<>\\&=%+,;:()[]{}|.", max_size=6)


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@given(raw)
def test_a_signature_is_hidden_whatever_stands_before_it(frame: Callable[[str], str], odd: str) -> None:
    found = redact.redact_text(frame(f"https://files.example.org/a?name={odd}&sig=planted"))
    assert "planted" not in found and "https://files.example.org/a?redacted" in found


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@given(raw)
def test_what_was_redacted_once_stays_as_it_is(frame: Callable[[str], str], odd: str) -> None:
    found = redact.redact_text(frame(f"https://me:{odd}x@files.example.org/a?name={odd}&sig=planted"))
    assert redact.redact_text(found) == found


@pytest.mark.parametrize("password", ["it's", 'a"b', "a<b>c", "it'", '"$', "<>$", "a\\b", "&x=y"])
def test_a_password_is_hidden_whatever_it_holds(password: str) -> None:
    found = redact.redact_text(f"it broke at https://me:{password}planted@files.example.org/a, they say")
    assert found == "it broke at https://files.example.org/a, they say"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"url":"https://h/a?s=1","state":"BROKEN"}', '{"url":"https://h/a?redacted","state":"BROKEN"}'),
        ('{"url":"https://h","mail":"me@h"}', '{"url":"https://h","mail":"me@h"}'),
        ("<loc>https://h/a?s=1</loc>", "<loc>https://h/a?redacted</loc>"),
        ('<a href="https://h/a?s=1">this</a>', '<a href="https://h/a?redacted">this</a>'),
        (r'{"text":"at https://h/a?s=1\nso it is"}', r'{"text":"at https://h/a?redacted\nso it is"}'),
        (r'"{\"url\":\"https://h/a?s=1\",\"state\":5}"', r'"{\"url\":\"https://h/a?redacted\",\"state\":5}"'),
        (r'{"url":"https:\/\/h\/a?s=1"}', '{"url":"https://h/a?redacted"}'),
        ("cats & dogs = pets; why? a=b", "cats & dogs = pets; why? a=b"),
    ],
)
def test_what_stands_around_a_link_stays(text: str, expected: str) -> None:
    assert redact.redact_text(text) == expected


@pytest.mark.parametrize("piece", ["a", "?", "&a", '"', "'a", "a://", "https://h?", "?a'", "\\", "https://a:'"])
def test_a_text_that_a_server_made_to_cost_time_costs_none(piece: str) -> None:
    text = piece * (400_000 // len(piece))
    begun = time.process_time()
    redact.redact_text(text)
    assert time.process_time() - begun < 5


class StubbornError(Exception):
    """Makes its text of an attribute, as many libraries' do."""

    def __init__(self) -> None:
        super().__init__()
        self.url = LINK

    def __str__(self) -> str:
        return f"stubborn at {self.url}"


class SilentError(Exception):
    def __str__(self) -> str:
        raise ValueError(LINK)


def undecodable() -> Exception:
    try:
        b"\xff".decode()
    except UnicodeDecodeError as error:
        return UnicodeDecodeError(error.encoding, LINK.encode(), 0, 1, LINK)
    raise AssertionError


def unparsable() -> Exception:
    try:
        int(LINK)
    except ValueError as error:
        return error
    raise AssertionError


ERRORS = {
    "a text": RuntimeError(f"at {LINK}"),
    "an argument that is no text": RuntimeError({"url": LINK}, LINK.encode()),
    "a key": KeyError(LINK),
    "a file's name": OSError(2, "not found", LINK),
    "a text of its own": StubbornError(),
    "no text": SilentError(),
    "undecodable": undecodable(),
    "unparsable": unparsable(),
    "a group": ExceptionGroup("several", [RuntimeError(LINK), ValueError(LINK)]),
    "one of ours": InvalidJobError([]),
    "json": json.JSONDecodeError(f"at {LINK}", "{}", 0),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_printed_without_a_secret_under_its_name(name: str) -> None:
    error = ERRORS[name]
    error.add_note(f"note: {LINK}")
    behind = raised(RuntimeError(f"behind: {LINK}"), StubbornError())
    behind.add_note(f"note behind: {LINK}")
    unseen = raised(error, behind)
    unseen.__context__ = raised(RuntimeError(f"beside: {LINK}"))

    found = redact.redact_error(unseen)

    assert type(found).__name__ == type(error).__name__
    assert found.__traceback__ is not None
    printed = shown(found)
    assert "planted" not in printed and "planted" not in str(found)
    assert "note: https://files.example.org/a?redacted" in printed
    assert "behind: https://files.example.org/a?redacted" in printed and "StubbornError: stubborn at https" in printed


def test_errors_that_lead_back_to_themselves_come_to_an_end() -> None:
    first, second = RuntimeError(LINK), RuntimeError(LINK)
    first.__cause__, second.__context__ = second, first
    found = redact.redact_error(first)
    assert found is first and "planted" not in shown(found)


def test_short_words_are_no_secrets() -> None:
    assert redact.remember_secret("abc") == "abc"
    assert redact.redact_all("abc") == "abc"
