"""The list of files of an export, page by page and entry by entry.

Knows where the list stands, how its next page is asked for, and how an item becomes the entry of a file. Holds one
page at a time. Refuses to judge an entry: the spec does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import jmespath

from sluiceway.errors import FieldError, ListChangedError, NotInReplyError, ReplyNotJsonError
from sluiceway.exports.access import ACCESS
from sluiceway.exports.asking import MAX_REPLY_BYTES, Api, host_of
from sluiceway.exports.blocks import Block, Position
from sluiceway.exports.credentials import with_parameter
from sluiceway.exports.filling import Heard, Places
from sluiceway.exports.http import api_of, places_of
from sluiceway.exports.listing import items, outline, parse_digest
from sluiceway.exports.standing import Export, find, plain, read_list
from sluiceway.job_files import key_of, put_json
from sluiceway.redact import redact_url
from sluiceway.source.client import Reply
from sluiceway.spec import Entry
from sluiceway.spec.auth import NoAuth
from sluiceway.spec.http_source import HttpSource, Pagination
from sluiceway.spec.templates import PLACEHOLDER, is_told, split_place

if TYPE_CHECKING:
    from sluiceway.aws.rows import JobRow
    from sluiceway.wiring import Services


@dataclass(frozen=True, slots=True)
class Page:
    """`body` is the reply as it came; `heard` its outline."""

    body: bytes
    heard: Heard


@dataclass(frozen=True, slots=True)
class Stand:
    """Before which page a list stands: its `url` (None before the first), its number, how many files the pages before
    it had, the total they stated, and digests of their URLs."""

    url: str | None = None
    number: int = 1
    listed: int = 0
    total: int | None = None
    seen: Sequence[str] = ()


def blocks(services: Services, source: HttpSource, row: JobRow, at: Position, n: int) -> Iterator[Block]:
    """The files of a complete export, a page at a time. Raises ExportError if the list is not where the job says."""
    export = find(services, row)
    if export is None or export.state == "skipped":
        return
    api, paging = api_of(services, source), source.files.pagination
    places = places_of(source, row, export, api)
    access = _write_access(services, source, row, export, places)
    stand: Stand | None = Stand(**at)
    while stand is not None:
        read: list[tuple[Page, int]] = []
        entries = _entries(services, source, row, export, api, places, stand, read, n, access)
        yield Block(partial(asdict, stand), entries)
        ((page, count),) = read
        n += count
        stand = _following(source, paging, page, places, stand, count, api) if paging is not None else None


def _entries(
    services: Services, source: HttpSource, row: JobRow, export: Export, api: Api, places: Places, stand: Stand,
    read: list[tuple[Page, int]], n: int, access: str | None,
) -> Iterator[Entry]:  # fmt: skip
    """The files of one page, which is asked for only now; at its end it and their number stand in `read`."""
    page, number = _page(services, source, row, export, api, places, stand.url), n
    around = places.after(page.heard) if source.files.request is not None else places
    for item in _items(source, page, api):
        yield _entry(source, around.with_item(item, number + 1), item, number, page.heard.url, access, api)
        number += 1
    read.append((page, number - n))


def _items(source: HttpSource, page: Page, api: Api) -> Iterator[Any]:
    if source.files.list is None:
        yield page.heard.url
        return
    try:
        yield from items(page.body, source.files.list)
    except ValueError:
        raise ReplyNotJsonError(f"{redact_url(page.heard.url)}: expected JSON, found {api.shown(page.body)}") from None
    except NotInReplyError as error:
        raise NotInReplyError(f"{redact_url(page.heard.url)}: {error} in {api.shown(page.body)}") from None


def _page(
    services: Services, source: HttpSource, row: JobRow, export: Export, api: Api, places: Places, url: str | None
) -> Page:
    """The page at `url`, or the first."""
    if source.files.request is None:
        if url is None:
            return _stored_page(services, source, row, export, api)
        return _ask_for_page(source, api, places, url)
    return _ask_for_page(source, api, places, url or places.request(source.files.request).url)


def _following(
    source: HttpSource, paging: Pagination, page: Page, places: Places, stand: Stand, count: int, api: Api
) -> Stand | None:
    """Where the list stands after a page of `count` files; None after the last. Raises ListChangedError."""
    here, listed, shown = page.heard.url, stand.listed + count, api.shown(page.body)
    total = _check_total(paging, page, stand.total, shown)
    url = _next(paging, page, places, source, listed=listed, count=count, number=stand.number)
    if url is None:
        if total is not None and total != listed:
            raise ListChangedError(f"{redact_url(here)}: {listed} files listed of {total}: {shown}")
        return None
    seen = (*stand.seen, _digest(here))
    if _digest(url) in seen:
        raise ListChangedError(f"{redact_url(url)}: the list leads back to a page that was read: {shown}")
    if stand.number >= paging.max_pages:
        raise ListChangedError(f"{redact_url(here)}: the list has more than {stand.number} pages: {shown}")
    return Stand(url, stand.number + 1, listed, total, seen)


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def _stored_page(services: Services, source: HttpSource, row: JobRow, export: Export, api: Api) -> Page:
    body = read_list(services, row)
    url = (export.last or export.replies[-1]).url
    try:
        around = outline(body, source.files.list)
    except ValueError:
        raise ReplyNotJsonError(f"{redact_url(url)}: expected JSON, found {api.shown(body)}") from None
    return Page(body, Heard("list", url, 200, {}, around))


def _ask_for_page(source: HttpSource, api: Api, places: Places, url: str) -> Page:
    files = source.files
    asked = places.request(files.request.model_copy(update={"url": url})) if files.request else None
    method, headers, body = (asked.method, asked.headers, asked.body) if asked else ("GET", {}, None)
    if files.list is None:
        # The page is a file: its head tells what the next one is, its bytes are ProcessFile's to read.
        reply = api.check(api.head(url, headers=headers), url)
        return Page(b"", Heard.of("list", url, reply, None))
    reply = api.check(api.ask(method, url, headers=headers, body=body, twice=True, max_bytes=MAX_REPLY_BYTES), url)
    return Page(reply.body, Heard.of("list", url, reply, _around(reply, source, api, url)))


def _around(reply: Reply, source: HttpSource, api: Api, url: str) -> Any:
    try:
        return outline(reply.body, source.files.list)
    except ValueError:
        raise ReplyNotJsonError(f"{redact_url(url)}: expected JSON, found {api.shown(reply.body)}") from None


def _next(
    paging: Pagination, page: Page, places: Places, source: HttpSource, *, listed: int, count: int, number: int
) -> str | None:
    """The URL of the next page; None after the last."""
    if paging.next is not None:
        found = jmespath.search(paging.next, page.heard.body)
        return urljoin(page.heard.url, found) if isinstance(found, str) and found else None
    if paging.cursor is not None:
        mark = jmespath.search(paging.cursor, page.heard.body)
    elif paging.locator_header is not None:
        mark = page.heard.headers.get(paging.locator_header.lower())
        # Salesforce says the word null on the last page.
        mark = None if mark == "null" else mark
    elif count == 0:
        mark = None
    else:
        mark = listed if paging.offset else paging.first + number
    if mark is None or mark == "" or isinstance(mark, bool) or not isinstance(mark, str | int):
        return None
    assert source.files.request is not None and paging.param is not None
    return with_parameter(places.request(source.files.request).url, paging.param, str(mark))


def _check_total(paging: Pagination, page: Page, before: int | None, shown: str) -> int | None:
    if paging.total is None:
        return None
    total = jmespath.search(paging.total, page.heard.body)
    if not isinstance(total, int):
        raise NotInReplyError(f"{redact_url(page.heard.url)}: {paging.total!r} finds no number in {shown}")
    if before is not None and total != before:
        changed = f"{total} files now, {before} on the page before"
        raise ListChangedError(f"{redact_url(page.heard.url)}: {changed}: {shown}")
    return total


def _entry(source: HttpSource, places: Places, item: Any, n: int, base: str, access: str | None, api: Api) -> Entry:
    files, where = source.files, f"files[{n}]"
    if isinstance(item, str):
        fields: dict[str, Any] = {"url": item}
    else:
        paths = {"url": files.url, "key": files.key, "size": files.size, **files.digests}
        fields = {name: jmespath.search(path, item) for name, path in paths.items() if path}
        fields = {name: value for name, value in fields.items() if value is not None}
        if files.digest and (stated := jmespath.search(files.digest, item)) is not None:
            try:
                name, value = parse_digest(stated)
            except ValueError:
                return Entry(None, where, FieldError(f"{where}.digest", "another text", "a digest in a known spelling"))
            fields.setdefault(name, value)
    if isinstance(fields.get("size"), str) and fields["size"].isdigit():
        fields["size"] = int(fields["size"])  # GraphQL has no integer of 64 bits
    if files.link is not None:
        fields["url"] = places.url(files.link.url)
    elif isinstance(fields.get("url"), str):
        fields["url"] = urljoin(base, fields["url"])
    else:
        shown = api.shown(json.dumps(item, ensure_ascii=False, default=str))
        raise NotInReplyError(f"{redact_url(base)}: {files.url!r} finds no URL in {where}, {shown}")
    if files.name is not None:
        fields["key"] = places.text(files.name)
    return Entry(fields, where, literal=True, access=access)


def _write_access(services: Services, source: HttpSource, row: JobRow, export: Export, places: Places) -> str | None:
    """Leaves for ProcessFile how files are asked for; None where their URLs are enough."""
    download, link, secret = source.download, source.files.link, source.files.headers_secret
    own = plain(source.auth)
    auth = own if download.auth == "inherit" else plain(NoAuth()) if download.auth == "none" else plain(download.auth)
    if auth["type"] == "none" and not download.headers and secret is None and link is None:
        return None
    request = source.files.request
    asked = [host_of(places.request(request).url)] if request is not None else []
    hosts = list(dict.fromkeys((*export.hosts, *asked)))
    access = {"auth": auth, "hosts": download.hosts or hosts, **_headers(places, download.headers, secret)}
    if link is not None:
        headers = _headers(places, {"Accept": "application/json", **link.headers}, source.headers_secret)
        hosts = list(dict.fromkeys((*hosts, *_named_host(places, link.url))))
        access["link"] = {"link": link.link, "auth": own, "hosts": hosts, **headers}
    return put_access(services, row, access)


def _headers(places: Places, headers: Mapping[str, str], secret: str | None) -> dict[str, Any]:
    """Of what access.py reads: the headers for every host, those in which a reply has a say, and a secret's."""
    filled, told = places.headers(headers), {name for name, value in headers.items() if is_told(value)}
    return {
        "headers": {name: value for name, value in filled.items() if name not in told},
        "told": {name: value for name, value in filled.items() if name in told},
        "headers_secret": secret,
    }


def _named_host(places: Places, template: str) -> list[str]:
    """The host that a template names without the help of an item, which must not choose where credentials go."""
    of_item = (each.start() for each in PLACEHOLDER.finditer(template) if split_place(each[1])[0] in ("item", "file"))
    url = places.url(template[: next(of_item, None)])
    # With nothing behind it a host may go on in the item.
    return [host_of(url)] if urlsplit(url).path else []


def put_access(services: Services, row: JobRow, access: Mapping[str, Any]) -> str:
    data = json.dumps(access, sort_keys=True).encode()
    key = key_of(row.job_id, f"{ACCESS}{hashlib.sha256(data).hexdigest()[:16]}.json")
    put_json(services, key, data)
    return key
