"""The manifest formats: how each is told apart and how its entries are read, one at a time.

Knows JSON lines, a JSON array, CSV, a plain list of URLs and Google's TsvHttpData-1.0. Refuses to know where the
bytes come from, and whether an entry is valid: the spec says that.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

import ijson  # type: ignore[import-untyped, unused-ignore]
from ijson.common import ObjectBuilder  # type: ignore[import-untyped, unused-ignore]

from sluiceway.errors import FieldError, InvalidJobError
from sluiceway.exports.once import EXPECTED, DoubledFieldError, Once, once
from sluiceway.spec import Entry, FileEntry
from sluiceway.spec.mistakes import found

BOM = b"\xef\xbb\xbf"
# A line longer than this is no entry but another kind of file: it must not fill the memory.
MAX_LINE_BYTES = 1024**2
# Storage Transfer Service, "Create a URL list": this header, then URL, bytes and base64 MD5 separated by tabs.
TSV_HEADER = "TsvHttpData-1.0"
COLUMNS = frozenset(FileEntry.model_fields)
# A number that is longer stays the text it is, and is no number of bytes.
MAX_DIGITS = 30

# An entry has one; what is much deeper is made to keep a parser busy.
MAX_LEVELS = 64
# What the beginning of a manifest is judged by.
HEAD_BYTES = 64 * 1024


class BinarySource(Protocol):
    """A buffered binary file: `read` returns as many bytes as asked for, fewer only at the end."""

    def read(self, size: int, /) -> bytes: ...


Stream: TypeAlias = "io.BufferedReader[Any]"
Reader = Callable[[Stream, str], Iterator[Entry]]


def read_entries(stream: BinarySource, name: str, format: str | None = None) -> Iterator[Entry]:
    """The entries of a manifest. `name` leads the place of each mistake and its ending breaks a tie; `format` is one
    of READERS, told from the content where it is None. Raises InvalidJobError for a file that is no such manifest;
    a single broken line becomes an entry with its mistake."""
    head = stream.read(HEAD_BYTES).removeprefix(BOM)
    whole: Stream = io.BufferedReader(_Rejoined(head, stream), HEAD_BYTES)
    return READERS[format or detect_format(head, name)](whole, name)


def detect_format(head: bytes, name: str) -> str:
    """By the first line that is not blank. A URL there begins a plain list, unless the file is called `.csv`: a
    comma may be part of a URL."""
    line = head.lstrip().split(b"\n", 1)[0].decode(errors="replace").strip()
    if line.startswith("{"):
        return "jsonl"
    if line.startswith("["):
        return "json"
    if line == TSV_HEADER:
        return "tsv"
    if line.startswith("#"):
        return "urls"
    first = line.partition(",")[0].strip('" ')
    if "://" in first:
        return "csv" if name.lower().endswith(".csv") else "urls"
    return "csv" if "url" in _names(line) or name.lower().endswith(".csv") else "urls"


def read_json_lines(stream: Stream, name: str) -> Iterator[Entry]:
    """An object or a URL string a line; blank lines are passed over."""
    for number, line in _lines(stream, name):
        where = f"{name} line {number}"
        if not line.strip():
            continue
        try:
            yield Entry(json.loads(line, object_pairs_hook=once), where)
        except RecursionError:
            yield Entry(None, where, _too_deep(where))
        except DoubledFieldError as error:
            yield Entry(None, where, FieldError(where, str(error), EXPECTED))
        except ValueError:
            yield Entry(None, where, FieldError(where, "text that is not JSON", "a JSON object"))


def read_json_array(stream: Stream, name: str) -> Iterator[Entry]:
    """Objects or URL strings in one array, which is never in memory whole."""
    n = 0
    try:
        for n, item in enumerate(_items(stream, name), start=1):
            yield Entry(item, f"{name}[{n - 1}]")
    except DoubledFieldError as error:
        raise InvalidJobError([FieldError(f"{name}[{n}]", str(error), EXPECTED)]) from None
    except (ijson.JSONError, ValueError):
        # The parser quotes the text around the mistake, which may be a link: only the place is told.
        raise InvalidJobError([FieldError(f"{name}[{n}]", "text that is not JSON", "a JSON array of files")]) from None


def _items(stream: Stream, name: str) -> Iterator[Any]:
    """The items of the outermost array. Made of the parser's plainest events: those that ijson makes of them carry the
    whole path to where they are, so that a megabyte of brackets would take it hours."""
    depth, count, builder = 0, 0, ObjectBuilder(Once)
    for event, value in ijson.basic_parse(stream, use_float=True):
        if depth == 0 and event != "start_array":
            raise InvalidJobError([FieldError(name, "something else", "a JSON array of files")])
        if event in ("start_array", "start_map"):
            depth += 1
            if depth > MAX_LEVELS:
                raise InvalidJobError([_too_deep(f"{name}[{count}]")])
            if depth == 1:
                continue
            if depth == 2:
                builder = ObjectBuilder(Once)
        elif event in ("end_array", "end_map"):
            depth -= 1
            if depth == 0:
                continue
        elif depth == 1:
            yield value
            count += 1
            continue
        builder.event(event, value)
        if depth == 1:
            yield builder.value
            count += 1


def read_url_list(stream: Stream, name: str) -> Iterator[Entry]:
    """A URL a line; blank lines and lines that begin with # are passed over."""
    for number, line in _lines(stream, name):
        text = line.strip()
        if text and not text.startswith("#"):
            yield Entry({"url": text}, f"{name} line {number}")


def read_tsv(stream: Stream, name: str) -> Iterator[Entry]:
    """TsvHttpData-1.0: only the URL is required."""
    lines = _lines(stream, name)
    number, header = next(lines, (1, ""))
    if header.strip() != TSV_HEADER:
        raise InvalidJobError([FieldError(f"{name} line {number}", found(header.strip()), TSV_HEADER)])
    for number, line in lines:
        if not line.strip():
            continue
        where = f"{name} line {number}"
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) > 3:
            mistake = FieldError(where, f"{len(cells)} columns", "URL, bytes and base64 MD5, separated by tabs")
            yield Entry(None, where, mistake)
            continue
        yield Entry(_row(dict(zip(("url", "size", "md5"), map(str.strip, cells), strict=False))), where)


def read_csv(stream: Stream, name: str) -> Iterator[Entry]:
    """CSV whose header names the fields of an entry; without a header, URL and key as rclone's copyurl has them."""
    numbered = _lines(stream, name)
    reader = csv.reader((line for _, line in numbered), strict=True)
    columns: list[str] | None = None
    try:
        for cells in reader:
            where = f"{name} line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = _columns(cells, where)
                if columns:
                    continue
                columns = ["url", "key"]
            yield _csv_entry(columns, cells, where)
    except csv.Error as error:
        where = f"{name} line {reader.line_num}"
        raise InvalidJobError([FieldError(where, f"text that is not CSV ({error})", "CSV")]) from None


READERS: dict[str, Reader] = {
    "jsonl": read_json_lines,
    "json": read_json_array,
    "csv": read_csv,
    "urls": read_url_list,
    "tsv": read_tsv,
}


class _Rejoined(io.RawIOBase):
    """A stream and the beginning that was already read from it."""

    def __init__(self, head: bytes, stream: BinarySource) -> None:
        super().__init__()
        self._head, self._stream = head, stream

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any, /) -> int:
        piece = self._head[: len(view)] if self._head else self._stream.read(len(view))
        self._head = self._head[len(piece) :]
        view[: len(piece)] = piece
        return len(piece)


def _too_deep(where: str) -> FieldError:
    return FieldError(where, "more", f"at most {MAX_LEVELS} levels of nesting")


def _names(line: str) -> list[str]:
    return [cell.strip().strip('"').lower() for cell in line.split(",")]


def _columns(cells: list[str], where: str) -> list[str]:
    """The columns a header names, or none where the line is already a file. Raises InvalidJobError for a header that
    names something else."""
    if "://" in cells[0]:
        return []
    names = [cell.strip().lower() for cell in cells]
    mistakes = [
        FieldError(where, f"a column {found(name)}", f"columns among {', '.join(sorted(COLUMNS))}")
        for name in names
        if name not in COLUMNS
    ]
    if "url" not in names:
        mistakes.append(FieldError(where, "a header without it", "a column named url"))
    if len(set(names)) < len(names):
        mistakes.append(FieldError(where, "a column twice", "each column once"))
    if mistakes:
        raise InvalidJobError(mistakes)
    return names


def _csv_entry(columns: list[str], cells: list[str], where: str) -> Entry:
    if len(cells) > len(columns):
        return Entry(None, where, FieldError(where, f"{len(cells)} cells", f"at most {len(columns)}"))
    return Entry(_row(dict(zip(columns, map(str.strip, cells), strict=False))), where)


def _row(cells: dict[str, str]) -> dict[str, Any]:
    """Cells as fields: an empty one is absent, a size and rows are numbers."""
    row: dict[str, Any] = {name: cell for name, cell in cells.items() if cell}
    for name in ("size", "rows"):
        stated = row.get(name, "")
        if stated.isascii() and stated.isdigit() and len(stated) <= MAX_DIGITS:
            row[name] = int(stated)
    return row


def _lines(stream: Stream, name: str) -> Iterator[tuple[int, str]]:
    """Lines with their number, counted from 1. Raises InvalidJobError for text that is not UTF-8, and for a line too
    long to be one."""
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        where = f"{name} line {number}"
        if len(line) > MAX_LINE_BYTES:
            raise InvalidJobError([FieldError(where, "a longer line", f"a line of at most {MAX_LINE_BYTES} bytes")])
        try:
            yield number, line.decode()
        except UnicodeDecodeError:
            raise InvalidJobError([FieldError(where, "bytes that are not UTF-8", "UTF-8 text")]) from None
