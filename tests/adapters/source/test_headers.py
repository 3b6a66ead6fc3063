"""What the headers of a source's reply say: stated digests, lengths, validators, ranges, and when to come back."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

import pytest
from urllib3 import HTTPHeaderDict

from sluiceway.errors import DigestMismatchError, RangesRefusedError, SourceProtocolError, SourceRestartError
from sluiceway.source.representation import (
    MAX_VALIDATOR_CHARS,
    announced_length,
    check_rest,
    is_end,
    strong_validator,
)
from sluiceway.source.retry import RetryBudget, parse_retry_after
from sluiceway.source.stated import stated_digests

DATA = b"some bytes"
B64 = {
    name: base64.b64encode(hashlib.new(name, DATA).digest()).decode() for name in ("md5", "sha1", "sha256", "sha512")
}
HEX = {name: hashlib.new(name, DATA).hexdigest() for name in B64}
# JSON writes each of its quotes as two characters, and two around it.
LONGEST = '"' + "e" * (MAX_VALIDATOR_CHARS - 6) + '"'
TUESDAY = "Tue, 15 Nov 1994 08:12:31 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {}),
        ({"Repr-Digest": f"sha-256=:{B64['sha256']}:"}, {"sha256": HEX["sha256"]}),
        (
            {"Repr-Digest": f"sha-256=:{B64['sha256']}:, sha-512=:{B64['sha512']}:"},
            {"sha256": HEX["sha256"], "sha512": HEX["sha512"]},
        ),
        ({"repr-digest": f"unixsum=:AAA=:, sha=:{B64['sha1']}:"}, {"sha1": HEX["sha1"]}),
        ({"Digest": f"SHA-256={B64['sha256']},MD5={B64['md5']}"}, {"sha256": HEX["sha256"], "md5": HEX["md5"]}),
        ({"Digest": f"id-sha-256={B64['sha256']}"}, {"sha256": HEX["sha256"]}),
        ({"Digest": f"id-sha-256={B64['sha256']}", "Content-Encoding": "gzip"}, {}),
        ({"Content-MD5": B64["md5"]}, {"md5": HEX["md5"]}),
        ({"x-goog-hash": f"crc32c=y/Q5Jg==, md5={B64['md5']}"}, {"crc32c": "cbf43926", "md5": HEX["md5"]}),
        ({"x-goog-hash": f"md5={B64['md5']}", "x-goog-stored-content-encoding": "gzip"}, {}),
        ({"x-goog-hash": f"md5={B64['md5']}", "x-goog-stored-content-encoding": "identity"}, {"md5": HEX["md5"]}),
        (
            {"x-goog-hash": f"md5={B64['md5']}", "x-goog-stored-content-encoding": "gzip", "Content-Encoding": "gzip"},
            {"md5": HEX["md5"]},
        ),
        ({"x-amz-checksum-crc32": "y/Q5Jg==", "x-amz-checksum-type": "FULL_OBJECT"}, {"crc32": "cbf43926"}),
        ({"x-amz-checksum-crc32": "y/Q5Jg==-2", "x-amz-checksum-type": "COMPOSITE"}, {}),
        ({"x-amz-checksum-crc32": "y/Q5Jg=="}, {}),
        ({"Content-Digest": f"sha-256=:{B64['sha256']}:"}, {}),
        ({"ETag": f'"{HEX["md5"]}"'}, {}),
        ({"Content-MD5": "not a digest", "Digest": "sha-256=short, adler32=03da0195", "Repr-Digest": "garbage"}, {}),
        ({"Content-MD5": B64["md5"], "Digest": f"md5={B64['md5']}"}, {"md5": HEX["md5"]}),
        (
            {"Repr-Digest": f"sha-256=:{B64['sha256']}:;p=1, md5=:{B64['md5']}: ; q"},
            {"sha256": HEX["sha256"], "md5": HEX["md5"]},
        ),
    ],
)
def test_stated_digests(headers: Mapping[str, str], expected: Mapping[str, str]) -> None:
    assert stated_digests(headers) == expected


def lines(*headers: tuple[str, str]) -> HTTPHeaderDict:
    """Headers as urllib3 has them, each line of a repeated one."""
    found = HTTPHeaderDict()
    for name, value in headers:
        found.add(name, value)
    return found


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (lines(("x-goog-hash", "crc32c=y/Q5Jg=="), ("X-Goog-Hash", f"md5={B64['md5']}")),
         {"crc32c": "cbf43926", "md5": HEX["md5"]}),
        (lines(("Digest", f"md5={B64['md5']}"), ("Digest", f"sha={B64['sha1']}")),
         {"md5": HEX["md5"], "sha1": HEX["sha1"]}),
        (lines(*[("Content-MD5", B64["md5"])] * 2), {"md5": HEX["md5"]}),
        (lines(*[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-type", "FULL_OBJECT")] * 2),
         {"crc32": "cbf43926"}),
        (lines(("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-type", "COMPOSITE"),
               ("x-amz-checksum-type", "FULL_OBJECT")), {}),
        (lines(("x-goog-hash", f"md5={B64['md5']}"), ("Content-Encoding", "gzip"), ("Content-Encoding", "br")), {}),
    ],
)  # fmt: skip
def test_every_line_of_a_repeated_header_counts(headers: HTTPHeaderDict, expected: Mapping[str, str]) -> None:
    assert stated_digests(headers) == expected


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("Content-MD5", B64["md5"], base64.b64encode(bytes(16)).decode()),
        ("Repr-Digest", f"sha-256=:{B64['sha256']}:", f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"),
        ("x-amz-checksum-crc32", "y/Q5Jg==", "AAAAAA=="),
    ],
)
def test_two_lines_of_a_header_that_contradict_each_other_are_refused(name: str, first: str, second: str) -> None:
    for one, other in ((first, second), (second, first)):
        with pytest.raises(DigestMismatchError, match="two values"):
            stated_digests(lines((name, one), (name, other), ("x-amz-checksum-type", "FULL_OBJECT")))


def test_two_values_for_one_algorithm_contradict_each_other_with_both_shown() -> None:
    other = base64.b64encode(bytes(16)).decode()
    with pytest.raises(DigestMismatchError, match=f"{HEX['md5']} in digest, {'00' * 16} in content-md5"):
        stated_digests({"Digest": f"md5={B64['md5']}", "Content-MD5": other})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"content-length": "5"}, 5),
        ({"content-length": "5, 5"}, 5),
        ({"content-length": "0"}, 0),
        ({"content-length": "5", "transfer-encoding": "chunked"}, None),
    ],
)
def test_announced_length(headers: Mapping[str, str], expected: int | None) -> None:
    assert announced_length(headers, "x") == expected


@pytest.mark.parametrize("text", ["", "-1", "5, 6", "five", "٥", "5.0", "+5", "1" * 20, "1" * 5000])
def test_a_length_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SourceProtocolError, match="Content-Length"):
        announced_length({"content-length": text}, "x")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"etag": '"a"'}, '"a"'),
        ({"etag": 'W/"a"'}, None),
        ({"etag": "unquoted"}, None),
        ({"last-modified": TUESDAY}, None),
        ({"last-modified": TUESDAY, "date": TUESDAY}, None),
        ({"last-modified": TUESDAY, "date": "Tue, 15 Nov 1994 08:12:32 GMT"}, TUESDAY),
        ({"last-modified": "yesterday", "date": TUESDAY}, None),
        ({"last-modified": TUESDAY, "date": f"Tue, 15 Nov {'9' * 20} 08:12:31 GMT"}, None),
        ({"last-modified": f"Tue, 15 Nov 1994 08:12:31 +{'9' * 20}", "date": TUESDAY}, None),
        ({"etag": 'W/"a"', "last-modified": TUESDAY, "date": "Wed, 16 Nov 1994 08:12:32 GMT"}, None),
        ({"etag": LONGEST}, LONGEST),
        ({"etag": LONGEST[:-1] + 'e"'}, None),
        ({"etag": '"' + "é" * 100 + '"'}, None),
    ],
)
def test_strong_validator(headers: Mapping[str, str], expected: str | None) -> None:
    assert strong_validator(headers) == expected


def rest(headers: Mapping[str, str], **more: object) -> tuple[int, int | None]:
    asked = {"validator": '"a"', "offset": 10, "end": 100, "length": 100, "shown": "x", **more}
    return check_rest(headers, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("headers", "more", "told"),
    [
        ({"content-range": "bytes 10-99/100"}, {}, (100, 100)),
        ({"content-range": "bytes 10-99/*"}, {}, (100, None)),
        ({"content-range": "bytes 10-19/100", "content-length": "10"}, {}, (20, 100)),
        ({"content-range": "bytes 10-99/100", "etag": '"a"'}, {}, (100, 100)),
        ({"content-range": "bytes 10-99/100"}, {"end": None, "length": None}, (100, 100)),
        ({"content-range": "bytes 10-49/100"}, {"end": 50}, (50, 100)),
    ],
)
def test_a_true_rest_tells_where_it_ends_and_how_long_the_whole_is(
    headers: Mapping[str, str], more: Mapping[str, object], told: tuple[int, int | None]
) -> None:
    assert rest(headers, **more) == told


@pytest.mark.parametrize(
    ("headers", "ends"),
    [
        ({"content-range": "bytes */10"}, True),
        ({"content-range": "bytes */10", "etag": '"a"'}, True),
        ({"content-range": "bytes */11"}, False),
        ({"content-range": "bytes */9"}, False),
        ({}, False),
    ],
)
def test_only_a_length_of_just_what_was_read_is_the_end(headers: Mapping[str, str], ends: bool) -> None:
    assert is_end(headers, '"a"', 10, "x") is ends


def test_the_end_of_another_version_is_a_change() -> None:
    with pytest.raises(SourceRestartError, match='was "a", now it is "b"'):
        is_end({"content-range": "bytes */10", "etag": '"b"'}, '"a"', 10, "x")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-range": "bytes 11-99/100"},
        {"content-range": "bytes 9-99/100"},
        {"content-range": "bytes 10-100/100"},
        {"content-range": "bytes 10-99/101"},
        {"content-range": "bytes 10-9/100"},
        {"content-range": "bytes */100"},
        {"content-range": "items 10-99/100"},
        {"content-range": "bytes 10-99/100", "content-length": "89"},
        {"content-range": f"bytes 10-99/{'1' * 5000}"},
    ],
)
def test_another_piece_is_refused(headers: Mapping[str, str]) -> None:
    with pytest.raises(RangesRefusedError, match="asked for the bytes 10 to 100 of 100"):
        rest(headers)


def test_a_piece_of_another_version_is_a_change() -> None:
    with pytest.raises(SourceRestartError, match='was "a", now it is "b"'):
        rest({"content-range": "bytes 10-99/100", "etag": '"b"'})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Tue, 15 Nov 1994 08:12:41 GMT", 10.0),
        ("Tue, 15 Nov 1994 08:12:01 GMT", 0.0),
        (f"Tue, 15 Nov {'9' * 20} 08:12:01 GMT", None),
        (f"Tue, 15 Nov 1994 08:12:01 +{'9' * 20}", None),
        ("9" * 5000, float("inf")),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=lambda: 784887151.0) == seconds


@pytest.mark.parametrize(
    ("failures", "retry_after", "jitter", "waited"),
    [(1, None, 1.0, 0.5), (2, None, 1.0, 1.0), (3, None, 0.5, 1.0), (9, None, 1.0, 20.0), (1, None, 0.0, 0.0),
     (1, "3", 1.0, 3.0), (1, "9999", 1.0, 120.0), (2, "nonsense", 1.0, 1.0)],
)  # fmt: skip
def test_a_pause_is_full_jitter_or_what_the_server_asked_for(
    failures: int, retry_after: str | None, jitter: float, waited: float
) -> None:
    waits: list[float] = []
    RetryBudget(sleep=waits.append, jitter=lambda: jitter).pause(failures, retry_after)
    assert waits == [waited]
