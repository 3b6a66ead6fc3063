"""A configurable export API: start an export, ask whether it is done, list its files.

Knows how to make the requests that the job document describes and to read their replies. Where an export stands,
links included, is kept in export.json in the jobs bucket, for neither the table nor a state may hold a link.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin

import jmespath

from sluiceway.errors import ExportError
from sluiceway.job_files import EXPORT, get_json, key_of, put_json
from sluiceway.redact import redact_text, redact_url
from sluiceway.source.client import Reply
from sluiceway.spec import Entry
from sluiceway.spec.http_source import PLACEHOLDER, HttpSource, Poll

if TYPE_CHECKING:
    from sluiceway.aws.rows import JobRow
    from sluiceway.wiring import Services

# An execution's history ends at 25,000 events, and a poll costs about ten of them.
MAX_POLLS = 1000
# A list of 100,000 files with long signed links is about 64 MiB.
MAX_REPLY_BYTES = 64 * 1024**2
# However long a server asks us to wait: an hour lost is enough.
MAX_RETRY_AFTER_SECONDS = 3600
BACKOFF = 1.5
SHOWN_CHARS = 500
# Not an answer about the export: ask again. Any other status from 400 on is the end of it.
ASK_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Export:
    """Where an export stands. `start_reply` is the JSON of the reply to the start request, `reply` that of the last
    one, from `reply_url`; times are seconds since 1970."""

    run: int
    started_at: float
    reply_url: str
    start_reply: Any
    reply: Any
    poll_url: str | None = None
    polls: int = 0
    done: bool = False


def start(services: Services, source: HttpSource, row: JobRow) -> int | None:
    """Sends the start request, unless an earlier invocation did. Answers with the seconds to wait before the first
    poll, None if the reply is already the list. Raises ExportError."""
    key = key_of(row.job_id, EXPORT)
    if source.poll and row.state == "EXPORTING":
        return _wait(source.poll, 0, {})
    reply = _start(services, source, row)
    body = _json(reply, source.start.url) if reply.body.strip() else None
    export = Export(row.run, time.time(), source.start.url, body, body, done=source.poll is None)
    if source.poll:
        export = replace(export, poll_url=_poll_url(source.poll, reply, export))
    put_json(services, key, asdict(export))
    return _wait(source.poll, 0, reply.headers) if source.poll else None


def poll(services: Services, source: HttpSource, job_id: str) -> int | None:
    """Asks once. Answers with the seconds to wait before asking again, None if the export is complete. Raises
    ExportError for one that failed, timed out or answered nonsense."""
    export = Export(**get_json(services, key_of(job_id, EXPORT)))
    config = source.poll
    if export.done or config is None or export.poll_url is None:
        return None
    _check_patience(config, export)
    reply = services.source.fetch(
        "GET", export.poll_url, headers=_headers(services, source, config.headers), max_bytes=MAX_REPLY_BYTES
    )
    export = replace(export, polls=export.polls + 1)
    if reply.status not in ASK_AGAIN:
        export = _judge(config, export, reply)
    put_json(services, key_of(job_id, EXPORT), asdict(export))
    return None if export.done else _wait(config, export.polls, reply.headers)


def entries(services: Services, source: HttpSource, job_id: str) -> Iterator[Entry]:
    """The files of a complete export. Raises ExportError if the list is not where the job says."""
    export = Export(**get_json(services, key_of(job_id, EXPORT)))
    url, body = export.reply_url, export.reply
    if source.files.list_url:
        url = _fill(source.files.list_url, export)
        reply = services.source.fetch("GET", url, headers=_headers(services, source, {}), max_bytes=MAX_REPLY_BYTES)
        _check_status(reply, url)
        body = _json(reply, url)
    found = jmespath.search(source.files.list, body)
    if not isinstance(found, list):
        raise ExportError(f"{redact_url(url)}: {source.files.list!r} finds no list in {_shown(json.dumps(body))}")
    for n, item in enumerate(found):
        yield Entry(_entry(source, item, url), f"files[{n}]", literal=True)


def _start(services: Services, source: HttpSource, row: JobRow) -> Reply:
    request = source.start
    # A start request that is sent twice, for the first reply was lost, should start one export.
    headers = {"Idempotency-Key": f"{row.job_id}-{row.run}"} | _headers(services, source, request.headers)
    body = request.body.encode() if request.body is not None else None
    if request.json_body is not None:
        body = json.dumps(request.json_body).encode()
        headers = {"Content-Type": "application/json"} | headers
    reply = services.source.fetch(request.method, request.url, headers=headers, body=body, max_bytes=MAX_REPLY_BYTES)
    _check_status(reply, request.url)
    return reply


def _judge(config: Poll, export: Export, reply: Reply) -> Export:
    """What a reply to a poll says about the export."""
    url = str(export.poll_url)
    _check_status(reply, url)
    if reply.status == 202 and not reply.body.strip():
        return export
    body = _json(reply, url)
    status = jmespath.search(config.status, body)
    if not isinstance(status, str | int):
        raise ExportError(f"{redact_url(url)}: {config.status!r} finds no status in {_shown(reply.body)}")
    status = str(status)
    if status in config.failed:
        raise ExportError(f"{redact_url(url)}: the export ended with status {status!r}: {_shown(reply.body)}")
    if status in config.completed:
        return replace(export, done=True, reply=body, reply_url=url)
    if config.running is not None and status not in config.running:
        raise ExportError(f"{redact_url(url)}: unknown status {status!r}: {_shown(reply.body)}")
    return export


def _check_patience(config: Poll, export: Export) -> None:
    if export.polls >= MAX_POLLS:
        raise ExportError(f"{redact_url(str(export.poll_url))}: not done after {MAX_POLLS} polls")
    if time.time() > export.started_at + config.timeout_minutes * 60:
        raise ExportError(f"{redact_url(str(export.poll_url))}: not done after {config.timeout_minutes:g} minutes")


def _poll_url(config: Poll, reply: Reply, export: Export) -> str:
    if config.url is not None:
        return _fill(config.url, export)
    target = reply.headers.get(str(config.url_header))
    if not target:
        raise ExportError(f"{redact_url(export.reply_url)}: the reply has no header {config.url_header}")
    return urljoin(export.reply_url, target)


def _fill(template: str, export: Export) -> str:
    """Replaces each `{{ path }}` by what it finds in the last reply, or else in the first. A value that stands first
    may be a whole URL; one inside a URL is escaped, so that it stays one segment."""

    def value_of(path: str) -> str:
        for reply in (export.reply, export.start_reply):
            value = jmespath.search(path, reply)
            if isinstance(value, str | int) and not isinstance(value, bool):
                return str(value)
        raise ExportError(f"{redact_url(export.reply_url)}: {path!r} finds no text in the reply")

    def filled(match: re.Match[str]) -> str:
        value = value_of(match[1].strip())
        return value if match.start() == 0 else quote(value, safe="")

    return urljoin(export.reply_url, PLACEHOLDER.sub(filled, template))


def _wait(config: Poll, polls: int, headers: Mapping[str, str]) -> int:
    """Whole seconds until the next poll: as the server asks, else the interval grown by half with each poll."""
    asked = _retry_after(headers.get("Retry-After"))
    if asked is not None:
        return max(1, math.ceil(min(asked, MAX_RETRY_AFTER_SECONDS)))
    # Past a hundred polls the power would only overflow.
    grown = config.interval_seconds * BACKOFF ** min(polls, 100)
    return math.ceil(min(grown, max(config.interval_seconds, config.max_interval_seconds)))


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number or a date (RFC 9110, 10.2.3); None for anything else."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - time.time())


def _entry(source: HttpSource, item: Any, base: str) -> Any:
    files = source.files
    if isinstance(item, str):
        fields: dict[str, Any] = {"url": item}
    else:
        paths = {"url": files.url, "key": files.key, "size": files.size, **files.digests}
        fields = {name: jmespath.search(path, item) for name, path in paths.items() if path}
        fields = {name: value for name, value in fields.items() if value is not None}
    if isinstance(fields.get("url"), str):
        fields["url"] = urljoin(base, fields["url"])
    if files.headers_secret:
        fields["headers_secret"] = files.headers_secret
    return fields


def _headers(services: Services, source: HttpSource, more: Mapping[str, str]) -> dict[str, str]:
    secret = services.secrets.headers(source.headers_secret) if source.headers_secret else {}
    return {"Accept": "application/json", **more, **secret}


def _check_status(reply: Reply, url: str) -> None:
    if not 200 <= reply.status < 300:
        raise ExportError(f"{redact_url(url)}: status {reply.status}: {_shown(reply.body)}")


def _json(reply: Reply, url: str) -> Any:
    try:
        return json.loads(reply.body)
    except ValueError:
        raise ExportError(f"{redact_url(url)}: expected JSON, found {_shown(reply.body)}") from None


def _shown(text: bytes | str) -> str:
    """The beginning of a reply, links redacted: cut afterwards, so that no half link escapes."""
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    return repr(redact_text(text[: 4 * SHOWN_CHARS])[:SHOWN_CHARS])
