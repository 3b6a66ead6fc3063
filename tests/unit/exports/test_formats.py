"""Every manifest format: told apart, read, and its mistakes told with their place."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiceway.errors import DuplicateTargetError, InvalidJobError
from sluiceway.exports.formats import MAX_LINE_BYTES, READERS, read_entries
from sluiceway.exports.manifest import file_entries, is_remote, name_of
from sluiceway.jobs.files import FileTask
from sluiceway.spec import read_tasks, refuse_duplicates

A, B = "https://h/in/a.csv?sig=1", "https://h/b%20c.csv"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
MD5_BASE64 = base64.b64encode(bytes.fromhex(MD5)).decode()


class Trickle(io.RawIOBase):
    """Hands out its bytes a few at a time, as a network does."""

    def __init__(self, data: bytes, step: int = 7) -> None:
        self._data, self._step = data, step

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any, /) -> int:
        piece = self._data[: min(self._step, len(view))]
        self._data = self._data[len(piece) :]
        view[: len(piece)] = piece
        return len(piece)


def tasks_of(data: bytes, name: str = "list", format: str | None = None) -> list[FileTask]:
    stream = io.BufferedReader(io.BytesIO(data))  # type: ignore[arg-type]
    return list(read_tasks(read_entries(stream, name, format), bucket="landing"))


def facts(tasks: list[FileTask]) -> list[tuple[Any, ...]]:
    return [(task.url, task.bucket, task.key, task.size, dict(task.digests)) for task in tasks]


PLAIN = [(A, "landing", "in/a.csv", None, {}), (B, "landing", "b c.csv", None, {})]
FULL = [(A, "other", "k,1", 5, {"md5": MD5}), (B, "landing", "b c.csv", None, {})]

GOOD: list[tuple[str, str, bytes, list[tuple[Any, ...]]]] = [
    ("urls", "l.txt", f"{A}\n{B}\n".encode(), PLAIN),
    ("urls without a last newline", "l.txt", f"{A}\n{B}".encode(), PLAIN),
    ("urls with comments and blanks", "l", f"# files\n\n  {A}  \n#{A}\n{B}\n".encode(), PLAIN),
    ("urls, Windows", "l.txt", f"{A}\r\n{B}\r\n".encode(), PLAIN),
    ("urls, byte order mark", "l.txt", f"\ufeff{A}\n{B}".encode(), PLAIN),
    ("a comma in a url", "l.txt", b"https://h/a,b\n", [("https://h/a,b", "landing", "a,b", None, {})]),
    ("json lines", "l.jsonl", b'{"url":"%b","key":"k,1","bucket":"other","size":5,"md5":"%b"}\n\n"%b"\n'
     % (A.encode(), MD5.encode(), B.encode()), FULL),
    ("json array", "l.json", json.dumps([{"url": A}, B], indent=1).encode(), PLAIN),
    ("json array, byte order mark", "l.json", b"\xef\xbb\xbf" + json.dumps([A, B]).encode(), PLAIN),
    ("an empty json array", "l.json", b" [ ] ", []),
    ("csv", "l.csv", f'url,key,bucket,size,md5\n{A},"k,1",other,5,{MD5}\n{B},,,,\n'.encode(), FULL),
    ("csv, other order and case", "l",
     f'MD5 , Size,"URL",bucket,key\n{MD5},5,{A},other,"k,1"\n,,{B},,\n'.encode(), FULL),
    ("csv, short rows, blank line", "l.csv", f"url,key\n{A}\n\n{B}\n".encode(), PLAIN),
    ("csv, byte order mark, Windows", "l.csv", f"\ufeffurl\r\n{A}\r\n{B}\r\n".encode(), PLAIN),
    ("rclone csv", "l.csv", f"{A},in/a.csv\n{B}\n".encode(), PLAIN),
    ("tsv", "l.tsv", f"TsvHttpData-1.0\n{A}\t5\t{MD5_BASE64}\n{B}\n".encode(),
     [(A, "landing", "in/a.csv", 5, {"md5": MD5}), PLAIN[1]]),
    ("nothing", "l.txt", b"", []),
    ("blank lines only", "l.txt", b"\n\n  \n", []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "expected"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_a_manifest_is_told_by_its_content(name: str, data: bytes, expected: list[tuple[Any, ...]]) -> None:
    assert facts(tasks_of(data, name)) == expected


@pytest.mark.parametrize(("name", "data", "expected"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_a_manifest_may_come_in_small_pieces(name: str, data: bytes, expected: list[tuple[Any, ...]]) -> None:
    stream = io.BufferedReader(Trickle(data))  # type: ignore[arg-type]
    assert facts(list(read_tasks(read_entries(stream, name), bucket="landing"))) == expected


BAD = [
    ("a line that is no json", "l.jsonl", b'{"url":"https://h/a"}\n{"url":\n',
     ["l.jsonl line 2: expected a JSON object"]),
    ("a json number", "l.jsonl", b'{"url":"https://h/a"}\n5\n', ["l.jsonl line 2: expected an object, found 5"]),
    ("an unknown field", "l.jsonl", b'{"url":"https://h/a","sise":5}',
     ["l.jsonl line 1, sise: unknown field; did you mean size?"]),
    ("a field twice", "l.jsonl", b'{"url":"https://h/a","sha256":"aa","sha256":"bb"}\n{"url":"ftp://h"}',
     ["l.jsonl line 1: expected each field once, found the field 'sha256' twice in one object",
      "l.jsonl line 2, url: "]),
    ("a field twice in an array", "l.json", b'["https://h/a",{"url":"https://h/b","sha256":"aa","sha256":"aa"}]',
     ["l.json[1]: expected each field once, found the field 'sha256' twice in one object"]),
    ("a field twice further in", "l.json", b'[{"url":"https://h/b","key":[{"a":1,"a":2}]}]',
     ["l.json[0]: expected each field once, found the field 'a' twice in one object"]),
    ("a broken array", "l.json", b'["https://h/a", ', ["l.json[1]: expected a JSON array"]),
    ("an array and more", "l.json", b'["https://h/a"] x', ["l.json[1]: expected a JSON array"]),
    ("an array of no depth that has an end", "l.json", b"[" * 100_000,
     ["l.json[0]: expected at most 64 levels of nesting, found more"]),
    ("a number of too many digits in an array", "l.json", b'[{"size": ' + b"9" * 5000 + b"}]",
     ["l.json[0]: expected a JSON array"]),
    ("a line of no depth that has an end", "l.jsonl", b'{"url": ' + b"[" * 100_000 + b"\n",
     ["l.jsonl line 1: expected at most 64 levels of nesting, found more"]),
    ("an array of the wrong things", "l.json", b'["https://h/a", {"key":"x"}]', ["l.json[1].url: expected a value"]),
    ("not a url", "l.txt", b"https://h/a\nht!tp\n",
     ["l.txt line 2, url: expected a URL like https://host/path, found 'ht!tp'"]),
    ("two mistakes", "l.txt", b"ftp://h/a\nhttps://h/ok\nhttps://\n", ["l.txt line 1, url: ", "l.txt line 3, url: "]),
    ("no key in the url", "l.txt", b"https://h/\n",
     ["l.txt line 1, key: expected a key that is not empty, found nothing"]),
    ("dots", "l.txt", b"https://h/a/%2e%2e/b\n", ["l.txt line 1, key: expected a key without '.' and '..' segments"]),
    ("control characters", "l.txt", b"https://h/a%00b\n", ["l.txt line 1, key: expected a key without control"]),
    ("a folder", "l.txt", b"https://h/a/\n", ["l.txt line 1, key: expected a key without empty segments"]),
    ("a path that is no text", "l.txt", b"https://h/a%ff\n", ["l.txt line 1, key: expected a key, for"]),
    ("a csv without url", "l.csv", b"link,key\nhttps://h/a,b\n",
     ["l.csv line 1: expected columns among", "l.csv line 1: expected a column named url"]),
    ("an unknown column", "l.csv", b"url,sise\nhttps://h/a,5\n", ["l.csv line 1: expected columns among"]),
    ("a column twice", "l.csv", b"url,url\n", ["l.csv line 1: expected each column once"]),
    ("too many cells", "l.csv", b"url,size\nhttps://h/a,5,6\n", ["l.csv line 2: expected at most 2, found 3 cells"]),
    ("a size that is none", "l.csv", b"url,size\nhttps://h/a,5kB\n", ["l.csv line 2, size: expected a whole number"]),
    ("a size of too many digits", "l.csv", b"url,size\nhttps://h/a," + b"9" * 5000 + b"\n",
     ["l.csv line 2, size: expected a whole number"]),
    ("a size that no store has", "l.csv", b"url,size\nhttps://h/a,99999999999999999999\n",
     ["l.csv line 2, size: expected at most 9223372036854775807, found 99999999999999999999"]),
    ("a key and a size", "l.jsonl", b'{"url":"https://h/a","size":"x","key":"a//b"}',
     ["l.jsonl line 1, size: expected a whole number", "l.jsonl line 1, key: expected a key without empty segments"]),
    ("a password", "l.txt", b"https://me:pw@h/a\n",
     ["l.txt line 1, url: expected a URL without a user or password: they belong in a secret"]),
    ("a negative size", "l.jsonl", b'{"url":"https://h/a","size":-1}', ["l.jsonl line 1, size: expected at least 0"]),
    ("an open quote", "l.csv", b'url\n"https://h/a\n', ["l.csv line 2: expected CSV"]),
    ("a digest of the wrong length", "l.csv", b"url,sha256\nhttps://h/a,abc\n",
     ["l.csv line 2, sha256: expected hex or base64 of 32 bytes"]),
    ("tsv columns", "l", b"TsvHttpData-1.0\nhttps://h/a\t5\tx\ty\n", ["l line 2: expected URL, bytes and base64 MD5"]),
    ("latin-1", "l.txt", b"https://h/a\nhttps://h/\xe4\n", ["l.txt line 2: expected UTF-8 text"]),
    ("a binary file", "l.bin", b"\x00\x01\x02" * MAX_LINE_BYTES, ["l.bin line 1: expected a line of at most"]),
    ("a bucket that is none", "l.jsonl", b'{"url":"https://h/a","bucket":"A_"}',
     ["l.jsonl line 1, bucket: expected the name"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "expected"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_every_mistake_is_told_with_its_place(name: str, data: bytes, expected: list[str]) -> None:
    with pytest.raises(InvalidJobError) as caught:
        tasks_of(data, name)
    told = [str(mistake) for mistake in caught.value.mistakes]
    assert len(told) == len(expected)
    assert [text.startswith(start) for text, start in zip(told, expected, strict=True)] == [True] * len(told), told


@pytest.mark.parametrize(
    "link",
    ["htp:/h/a?sig=planted", "ftp://u:planted@h/a", "https://h/a b?sig=planted", "https://u:planted@h/a",
     "https://u:planted/1@h/a", "https://u:planted?1@h/a", "https://u:planted#1@h/a", "u:planted@h/a",
     "https://h:99999/a?sig=planted", "https://[h/a#planted", "see u:planted@h https://h:x/a"],
)  # fmt: skip
def test_a_mistake_shows_no_secret(link: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        tasks_of(json.dumps({"url": link}).encode(), "l.jsonl")
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(("name", "text"), [("l.jsonl", "{0}"), ("l.json", "[{0}]")])
def test_a_field_that_stands_twice_is_named_without_a_link_in_it(name: str, text: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        tasks_of(text.format('{"https://h/a?sig=planted": 1, "https://h/a?sig=planted": 2}').encode(), name)
    assert "twice" in str(caught.value) and "planted" not in str(caught.value)


def test_a_hundred_mistakes_are_enough() -> None:
    with pytest.raises(InvalidJobError) as caught:
        tasks_of(b"nonsense\n" * 1000, "l.txt")
    assert len(caught.value.mistakes) == 100


@pytest.mark.parametrize("text", ["5", '{"item": ["https://h/a"]}'])
def test_what_is_no_array_is_told_where_one_was_stated(text: str) -> None:
    with pytest.raises(InvalidJobError, match="^l.json: expected a JSON array of files, found something else$"):
        tasks_of(text.encode(), "l.json", "json")


def test_a_stated_format_outweighs_the_content() -> None:
    (task,) = tasks_of(b"https://h/a,b\n", "list.txt", "csv")
    assert (task.url, task.key) == ("https://h/a", "b")


def test_the_whole_array_is_never_in_memory() -> None:
    read = 0

    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, view: Any, /) -> int:
            nonlocal read
            item = b'["https://h/a",' if read == 0 else b' "https://h/a",'
            view[: len(item)] = item
            read += len(item)
            return len(item)

    entries = read_entries(io.BufferedReader(Endless(), 4096), "l.json")  # type: ignore[arg-type]
    for _ in range(10):
        next(entries)
    assert read < 1024**2


segment = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
files = st.lists(
    st.fixed_dictionaries(
        {
            "url": segment.map(lambda name: f"https://host/{name}"),
            "key": st.lists(segment, min_size=1, max_size=3).map("/".join),
            "size": st.integers(0, 2**60),
            "md5": st.binary(min_size=16, max_size=16).map(bytes.hex),
        }
    ),
    max_size=6,
)


def write_csv(rows: list[dict[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, ["url", "key", "size", "md5"])
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def write_tsv(rows: list[dict[str, Any]]) -> bytes:
    lines = [f"{r['url']}\t{r['size']}\t{base64.b64encode(bytes.fromhex(r['md5'])).decode()}" for r in rows]
    return "\n".join(["TsvHttpData-1.0", *lines]).encode()


WRITERS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "jsonl": lambda rows: b"\n".join(json.dumps(row).encode() for row in rows),
    "json": lambda rows: json.dumps(rows, ensure_ascii=False).encode(),
    "csv": write_csv,
    "tsv": write_tsv,
    "urls": lambda rows: "\n".join(row["url"] for row in rows).encode(),
}


def test_there_is_a_writer_for_every_reader() -> None:
    assert WRITERS.keys() == READERS.keys()


@pytest.mark.parametrize("format", sorted(READERS))
@given(rows=files, mark=st.booleans())
def test_what_was_written_is_read(format: str, rows: list[dict[str, Any]], mark: bool) -> None:
    data = (b"\xef\xbb\xbf" if mark else b"") + WRITERS[format](rows)
    tasks = tasks_of(data, f"list.{format}")

    assert [task.url for task in tasks] == [row["url"] for row in rows]
    if format in ("jsonl", "json", "csv"):
        assert [task.key for task in tasks] == [row["key"] for row in rows]
    if format != "urls":
        stated = [(row["size"], {"md5": row["md5"]}) for row in rows]
        assert [(task.size, dict(task.digests)) for task in tasks] == stated


def test_duplicate_targets_name_both_files_without_their_secrets(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("https://h/a?sig=x\n# b\nhttps://h/b\nhttps://g/a?sig=y\n")

    def entries() -> Any:
        return file_entries(path)

    for bucket, target in (("landing", "s3://landing/in/a"), ("", "'in/a' in the landing bucket")):
        with pytest.raises(DuplicateTargetError) as caught:
            list(refuse_duplicates(read_tasks(entries(), bucket=bucket, prefix="in/"), entries))
        assert str(caught.value) == (
            f"two files would land at {target}: "
            "https://h/a?redacted (list.txt line 1) and https://g/a?redacted (list.txt line 4); "
            "give each a key of its own"
        )


def test_one_key_in_two_buckets_is_no_duplicate() -> None:
    listed = [FileTask("https://h/a", "one", "k", n=0), FileTask("https://h/a", "two", "k", n=1)]
    assert list(refuse_duplicates(listed, lambda: ())) == listed


@pytest.mark.parametrize(
    ("location", "remote"),
    [
        ("s3://bucket/key", True),
        ("https://h/list", True),
        ("http://h/list", True),
        ("s3://bucket", False),
        ("s3://bucket/", False),
        ("list.txt", False),
        ("/tmp/list.txt", False),
        ("file:///tmp/list", False),
        ("https://[", False),
    ],
)
def test_what_a_function_can_read(location: str, remote: bool) -> None:
    assert is_remote(location) is remote


def test_the_name_of_a_manifest_holds_no_secret() -> None:
    assert name_of("https://h/lists/today.csv?sig=x") == "today.csv"
