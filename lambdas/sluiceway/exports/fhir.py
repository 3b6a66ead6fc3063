"""HL7 FHIR Bulk Data Access: kick-off, status, manifest, delete.

Knows the conversation as the Bulk Data Access IG 2.0 has it ("Bulk Data Export"), and how files are named. How a
request is sent is asking.py's; authorisation, SMART Backend Services' token included, credentials.py's.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from sluiceway.errors import (
    CredentialsRefusedError,
    ExportExpiredError,
    ExportFailedError,
    ListChangedError,
    NotInReplyError,
    ReplyNotJsonError,
    SluicewayError,
    SourceUnreachableError,
)
from sluiceway.exports.access import ANY_HOST, NONE
from sluiceway.exports.asking import ASK_AGAIN, MAX_REPLY_BYTES, Api, host_of
from sluiceway.exports.blocks import Block, Position
from sluiceway.exports.filling import Heard
from sluiceway.exports.http import GONE
from sluiceway.exports.http_list import put_access
from sluiceway.exports.listing import items, outline
from sluiceway.exports.standing import READY, Export, Step, ask_anew, begin, find, plain, read_list, save, save_list
from sluiceway.exports.waiting import check_patience, seconds_to_wait
from sluiceway.redact import redact_url
from sluiceway.source.client import Reply
from sluiceway.spec import Entry
from sluiceway.spec.fhir_source import FhirBulkSource

if TYPE_CHECKING:
    from sluiceway.aws.rows import JobRow
    from sluiceway.wiring import Services

FHIR_JSON = "application/fhir+json"
LEVELS = {"system": "$export", "patient": "Patient/$export", "group": "Group/{group}/$export"}
# The spellings of newline-delimited JSON that _outputFormat takes. Only its rows are lines.
NDJSON = frozenset({None, "application/fhir+ndjson", "application/ndjson", "ndjson"})
# A manifest's lists: the folder their files go to, and the type of a file that states none.
LISTS = {"output": ("", "files"), "deleted": ("deleted/", "Bundle"), "error": ("error/", "OperationOutcome")}
MAX_PAGES = 10_000


def start(services: Services, source: FhirBulkSource, row: JobRow) -> Step:
    """Kicks the export off, unless an earlier invocation did. Raises ExportError."""
    export = begin(services, row)
    if export.state == "starting":
        export = _discover(services, source, export)
        api, url = _api(services, source, export), kick_off_url(source)
        # A kick-off that is sent twice starts two exports.
        reply = api.ask("GET", url, headers={"Accept": FHIR_JSON, "Prefer": "respond-async"}, twice=False)
        api.check(reply, url)
        place = reply.headers.get("Content-Location")
        if reply.status != 202 or not place:
            found = f"{reply.status}: {api.shown(reply.body)}"
            raise NotInReplyError(f"{redact_url(url)}: expected 202 with a Content-Location, found {found}")
        heard = Heard.of("start", url, reply, None)
        export = replace(export.add(heard), state="running", poll_url=urljoin(url, place), hosts=(host_of(url),))
        save(services, row, export)
    if export.state != "running":
        return READY
    return Step("POLL", seconds_to_wait(source, replace(export, polls=0), export.replies[0].headers))


def poll(services: Services, source: FhirBulkSource, row: JobRow) -> Step:
    """Asks for the status once. Raises ExportError for an export that failed."""
    export = ask_anew(begin(services, row), row)
    if export.state != "running" or export.poll_url is None:
        return READY
    check_patience(source, export)
    api, url = _api(services, source, export), export.poll_url
    export = replace(export, polls=export.polls + 1)
    try:
        reply = api.ask_once("GET", url, headers={"Accept": "application/json"})
    except SourceUnreachableError:
        save(services, row, export)
        return Step("POLL", seconds_to_wait(source, export, {}))
    export = replace(export, told=api.shown(reply.body or reply.headers.get("X-Progress", "")))
    if reply.status == 200:
        export = _complete(services, row, export, api, reply)
        save(services, row, export)
        return READY
    save(services, row, export)
    if reply.status not in ASK_AGAIN | {202} or (reply.status >= 500 and _is_final(reply)):
        if 200 <= reply.status < 300:
            raise NotInReplyError(f"{redact_url(url)}: expected 202 or 200, found {reply.status}")
        raise ExportFailedError(f"{redact_url(url)}: status {reply.status}: {api.shown(reply.body)}")
    told = api.progress(reply.headers.get("X-Progress"))
    return Step("POLL", seconds_to_wait(source, export, reply.headers), told)


def blocks(services: Services, source: FhirBulkSource, row: JobRow, at: Position, n: int) -> Iterator[Block]:
    """Every file of the manifest and of the pages it links, a page at a time: output, deleted and error. Raises
    ExportError."""
    export = find(services, row)
    if export is None or export.last is None:
        return
    _check_expires(export)
    api, numbers = _api(services, source, export), Counter[str](at.get("numbers", {}))
    for stand, url, body, around in _pages(services, row, export, api, at):
        access = _write_access(services, source, row, export, guarded=bool(around.get("requiresAccessToken")))
        # Copied: the numbers go on counting while the block is used up.
        position: dict[str, Any] = {**stand, "numbers": dict(numbers)}
        yield Block(partial(dict, position), _entries(source, body, around, url, access, numbers, n))
        n += numbers.total() - sum(position["numbers"].values())


def _entries(
    source: FhirBulkSource, body: bytes, around: Mapping[str, Any], url: str, access: str, numbers: Counter[str], n: int
) -> Iterator[Entry]:
    for name, (folder, kind) in LISTS.items():
        for item in items(body, name) if isinstance(around.get(name), list) else ():
            typed = str(item.get("type") or kind) if isinstance(item, Mapping) else kind
            numbers[folder + typed] += 1
            yield _entry(source, item, f"{folder}{typed}-{numbers[folder + typed]}", n, url, access)
            n += 1


def close(services: Services, source: FhirBulkSource, row: JobRow, *, landed: bool) -> str | None:
    """Deletes the export at the server, which cancels one that still runs. Answers with what went wrong in doing so."""
    export = find(services, row)
    if export is None or export.closed or export.poll_url is None:
        return None
    api = _api(services, source, export)
    try:
        reply = api.ask("DELETE", export.poll_url)
        if reply.status not in GONE:
            api.check(reply, export.poll_url)
    except SluicewayError as error:  # the job's own end must be recorded all the same
        return f"{'finish' if landed else 'abort'}: {error}"
    save(services, row, replace(export, closed=True))
    return None


def kick_off_url(source: FhirBulkSource) -> str:
    operation = LEVELS[source.level].format(group=source.group)
    asked = {
        "_outputFormat": source.output_format,
        "_since": source.since,
        "_type": ",".join(source.types) or None,
        "_typeFilter": ",".join(source.type_filters) or None,
    }
    query = urlencode({name: value for name, value in asked.items() if value is not None}, safe=",/")
    return f"{source.base_url.rstrip('/')}/{operation}" + (f"?{query}" if query else "")


def _api(services: Services, source: FhirBulkSource, export: Export) -> Api:
    return Api(services.source, services.credentials, _auth(source, export))


def _auth(source: FhirBulkSource, export: Export) -> dict[str, Any]:
    auth = plain(source.auth)
    return {**auth, "token_url": auth["token_url"] or export.token_url} if auth["type"] == "smart" else auth


def _discover(services: Services, source: FhirBulkSource, export: Export) -> Export:
    """Finds the token endpoint where the job does not name it (SMART App Launch, "Conformance")."""
    auth = plain(source.auth)
    if auth["type"] != "smart" or auth["token_url"]:
        return export
    url = f"{source.base_url.rstrip('/')}/.well-known/smart-configuration"
    api = Api(services.source, services.credentials, NONE)
    said = api.parse(api.check(api.ask("GET", url), url), url)
    place = said.get("token_endpoint") if isinstance(said, dict) else None
    if not isinstance(place, str):
        raise CredentialsRefusedError(f"{redact_url(url)}: it names no token_endpoint")
    return replace(export, token_url=urljoin(url, place))


def _complete(services: Services, row: JobRow, export: Export, api: Api, reply: Reply) -> Export:
    url = str(export.poll_url)
    around = _around(api, reply.body, url)
    save_list(services, row, reply.body)
    kept = {name: value for name, value in around.items() if not isinstance(value, list)}
    return replace(export, state="ready", last=Heard.of("manifest", url, reply, kept))


def _around(api: Api, body: bytes, url: str) -> dict[str, Any]:
    """The manifest without the items of a long output. Raises ReplyNotJsonError, NotInReplyError."""
    try:
        around = outline(body, "output")
    except ValueError:
        raise ReplyNotJsonError(f"{redact_url(url)}: expected a manifest, found {api.shown(body)}") from None
    if not isinstance(around, dict) or not isinstance(around.get("output"), list):
        raise NotInReplyError(f"{redact_url(url)}: 'output' finds no list in {api.shown(body)}")
    return around


def _pages(
    services: Services, row: JobRow, export: Export, api: Api, at: Position
) -> Iterator[tuple[Position, str, bytes, dict[str, Any]]]:
    """Each page from `at` on with what leads back to it."""
    assert export.last is not None
    url, seen = at.get("url") or export.last.url, list(at.get("seen", ()))
    body = _ask_for_page(api, url) if at.get("url") else read_list(services, row)
    while True:
        around = _around(api, body, url)
        yield {"url": url if seen else None, "seen": list(seen)}, url, body, around
        seen.append(url)
        links = around.get("link") if isinstance(around.get("link"), list) else []
        following = next((link.get("url") for link in links or [] if link.get("relation") == "next"), None)
        if not isinstance(following, str):
            return
        url = urljoin(url, following)
        if url in seen or len(seen) >= MAX_PAGES:
            raise ListChangedError(f"{redact_url(url)}: the manifest's links come to no end: {api.shown(body)}")
        body = _ask_for_page(api, url)


def _ask_for_page(api: Api, url: str) -> bytes:
    reply = api.ask("GET", url, headers={"Accept": "application/json"}, max_bytes=MAX_REPLY_BYTES)
    return api.check(reply, url).body


def _entry(source: FhirBulkSource, item: Any, name: str, n: int, base: str, access: str | None) -> Entry:
    lines = source.output_format in NDJSON
    if not isinstance(item, Mapping):
        return Entry(item, f"manifest[{n}]", literal=True, access=access)
    url, count = item.get("url"), item.get("count")
    fields = {"url": urljoin(base, url) if isinstance(url, str) else url, "key": name + (".ndjson" if lines else "")}
    rows = count if lines and isinstance(count, int) and not isinstance(count, bool) else None
    return Entry(fields, f"manifest[{n}]", literal=True, access=access, rows=rows)


def _write_access(services: Services, source: FhirBulkSource, row: JobRow, export: Export, *, guarded: bool) -> str:
    """The manifest says whether files want the token, wherever they are; a redirect to another host loses it."""
    auth = _auth(source, export) if guarded else NONE
    accept = source.output_format if source.output_format and "/" in source.output_format else "application/fhir+ndjson"
    access = {"auth": dict(auth), "hosts": [ANY_HOST], "headers": {"Accept": accept}}
    return put_access(services, row, access)


def _check_expires(export: Export) -> None:
    """Raises ExportExpiredError when the server no longer keeps the files."""
    stated = export.last.headers.get("expires") if export.last else None
    try:
        until = parsedate_to_datetime(stated).timestamp() if stated else None
    except (ValueError, OverflowError):
        until = None
    if until is not None and until < time.time():
        raise ExportExpiredError(f"{redact_url(str(export.poll_url))}: the files were kept until {stated}")


def _is_final(reply: Reply) -> bool:
    """Whether a server's error says that asking again cannot help: an OperationOutcome none of whose issues is
    transient ("Response - Error Status"). Without one it may be a proxy's."""
    try:
        said = json.loads(reply.body)
    except ValueError:
        return False
    if not isinstance(said, dict) or said.get("resourceType") != "OperationOutcome":
        return False
    return not any(issue.get("code") == "transient" for issue in said.get("issue", []) if isinstance(issue, dict))
