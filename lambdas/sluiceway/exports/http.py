"""A configurable export API: start an export, ask whether it is done, tell the API of its end.

Knows what the job document's description means, request by request, and what a reply says about the export. The list
of files is http_list.py's; how a request is sent, asking.py's.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import jmespath

from sluiceway.errors import (
    ExportFailedError,
    ExportTimeoutError,
    NotInReplyError,
    ReplyNotJsonError,
    SluicewayError,
    SourceUnreachableError,
    UnknownStatusError,
)
from sluiceway.exports import callbacks
from sluiceway.exports.asking import ASK_AGAIN, Api, host_of
from sluiceway.exports.filling import Filled, Heard, Places
from sluiceway.exports.listing import outline
from sluiceway.exports.standing import READY, Export, Step, ask_anew, begin, find, plain, save, save_list
from sluiceway.exports.waiting import check_patience, seconds_to_wait
from sluiceway.redact import redact_url
from sluiceway.source.client import Reply
from sluiceway.spec.http_source import HttpSource, Poll
from sluiceway.spec.requests import Request, Start

if TYPE_CHECKING:
    from sluiceway.aws.rows import JobRow
    from sluiceway.wiring import Services

# The vendor has forgotten the export, or never knew it: there is nothing left to end.
GONE = frozenset({404, 410})


def start(services: Services, source: HttpSource, row: JobRow) -> Step:
    """Sends the start requests that no earlier invocation sent. Raises ExportError."""
    export = begin(services, row)
    api = api_of(services, source)
    if source.wait == "callback" and export.callback is None:
        export = save(services, row, callbacks.offer(services, source, row, export))
    for n in range(len(export.replies), len(source.starts)):
        request = source.starts[n]
        heard, body = _ask(api, request, places_of(source, row, export, api), key=_key(row, request, n))
        if source.poll is None:
            save_list(services, row, body)
        # Kept before it is judged: what was started can be aborted.
        hosts = tuple(dict.fromkeys((*export.hosts, host_of(heard.url))))
        export = save(services, row, replace(export.add(heard), hosts=hosts))
    if export.state == "starting":
        export = save(services, row, _started(source, row, export, api))
    if export.state != "running" or source.poll is None:
        return READY
    # A call that has come already wakes the job from the sleep it is about to begin.
    if source.wait == "callback" and (sleep := callbacks.sleep(source, export, now=time.time())) is not None:
        return sleep
    return Step("POLL", seconds_to_wait(source.poll, replace(export, polls=0), export.replies[-1].headers))


def poll(services: Services, source: HttpSource, row: JobRow) -> Step:
    """Asks once. Raises ExportError for an export that failed, timed out or answered nonsense."""
    export, config = begin(services, row), source.poll
    if source.files.request is None:
        export = ask_anew(export, row)
    if export.state != "running" or config is None or export.poll_url is None:
        return READY
    try:
        check_patience(config, export)
    except ExportTimeoutError as error:
        raise ExportTimeoutError(f"{error}{callbacks.refusals(services, export)}") from None
    api = api_of(services, source)
    places = places_of(source, row, export, api)
    asked = places.request(config.model_copy(update={"url": export.poll_url}))
    try:
        reply: Reply | None = api.ask_once(asked.method, export.poll_url, headers=asked.headers, body=asked.body)
    except SourceUnreachableError:
        reply = None  # the next poll may reach it; the number of polls and the time are limited
    export = replace(export, polls=export.polls + 1, told=api.shown(reply.body) if reply is not None else export.told)
    progress = None
    if reply is not None and not _is_passing(config, reply):
        export, progress = _judge(services, source, row, export, reply, api)
    save(services, row, export)
    if export.state != "running":
        return READY._replace(progress=progress)
    # A call that came too early, or did not come in time, leaves the job to polling.
    if source.wait == "callback" and not callbacks.is_heard(services, export):
        sleep = callbacks.sleep(source, export, now=time.time())
        if sleep is not None:
            return sleep._replace(progress=progress)
    return Step("POLL", seconds_to_wait(config, export, reply.headers if reply is not None else {}), progress)


def close(services: Services, source: HttpSource, row: JobRow, *, landed: bool) -> str | None:
    """Tells the API that the export is done with: `finish` when everything has landed, `abort` otherwise. Answers with
    what went wrong in doing so, for it changes nothing about the job."""
    export = find(services, row)
    if export is None or export.closed or not export.replies:
        return None
    request = source.finish if landed else source.abort
    if request is None:
        return None
    api = api_of(services, source)
    try:
        asked = places_of(source, row, export, api).request(request)
        reply = api.ask(asked.method, asked.url, headers=asked.headers, body=asked.body)
        if reply.status not in GONE:
            _refuse(api, request, api.check(reply, asked.url), asked.url)
    except SluicewayError as error:  # the job's own end must be recorded all the same
        return f"{'finish' if landed else 'abort'}: {error}"
    save(services, row, replace(export, closed=True))
    return None


def api_of(services: Services, source: HttpSource) -> Api:
    headers = services.secrets.headers(source.headers_secret) if source.headers_secret else {}
    return Api(services.source, services.credentials, plain(source.auth), headers)


def places_of(source: HttpSource, row: JobRow, export: Export, api: Api) -> Places:
    named: dict[str, Any] = {
        "job": {"id": row.job_id, "run": row.run, "created_at": row.created_at, "stamp": row.stamp},
        "with": source.values,
    }
    if export.callback_url:
        named["callback"] = {"url": export.callback_url}
    places = Places(named, api.shown)
    for heard in (*export.replies, *([export.last] if export.last else [])):
        places = places.after(heard)
    return places


def ask_for(api: Api, request: Request, places: Places, *, headers: dict[str, str] | None = None) -> tuple[Reply, str]:
    """The reply to a request of the document, and the URL it was asked at. Raises ExportError unless it succeeded."""
    asked: Filled = places.request(request)
    reply = api.ask(asked.method, asked.url, headers={**(headers or {}), **asked.headers}, body=asked.body)
    return api.check(reply, asked.url), asked.url


def _ask(api: Api, request: Start, places: Places, *, key: dict[str, str]) -> tuple[Heard, bytes]:
    reply, url = ask_for(api, request, places, headers=key)
    return Heard.of(request.name, url, reply, _refuse(api, request, reply, url)), reply.body


def _key(row: JobRow, request: Start, n: int) -> dict[str, str]:
    """A start request that is sent twice, for the first reply was lost, should start one export; in another run of the
    job, another one."""
    key = f"{row.job_id}-{row.stamp}" + (f"-{n}" if n else "")
    return {request.idempotency_header: key} if request.idempotency_header else {}


def _refuse(api: Api, request: Request, reply: Reply, url: str, path: str | None = None) -> Any:
    """The JSON of a reply, None of an empty one. Raises ExportFailedError where the reply itself says that it is a
    refusal, ReplyNotJsonError."""
    if not reply.body.strip():
        return None
    try:
        body = outline(reply.body, path)
    except ValueError:
        raise ReplyNotJsonError(f"{redact_url(url)}: expected JSON, found {api.shown(reply.body)}") from None
    if request.error is not None and jmespath.search(request.error, body):
        raise ExportFailedError(f"{redact_url(url)}: the API refused: {api.shown(reply.body)}")
    return body


def _started(source: HttpSource, row: JobRow, export: Export, api: Api) -> Export:
    """The export once its last start request is answered. Raises NotInReplyError."""
    last = export.replies[-1]
    if source.poll is None:
        return replace(export, state="ready")
    if source.poll.url is not None:
        url = places_of(source, row, export, api).url(source.poll.url)
    else:
        target = last.headers.get(str(source.poll.url_header).lower())
        if not target:
            shown = api.shown(json.dumps(last.document, ensure_ascii=False))
            raise NotInReplyError(f"{redact_url(last.url)}: no header {source.poll.url_header} in {shown}")
        url = urljoin(last.url, target)
    return replace(export, state="running", poll_url=url, hosts=tuple(dict.fromkeys((*export.hosts, host_of(url)))))


def _is_passing(config: Poll, reply: Reply) -> bool:
    """Whether a reply says nothing about the export but that it should be asked for later."""
    if config.status_code and config.status_mapping.meaning(str(reply.status)) is not None:
        return False
    return reply.status in ASK_AGAIN


def _judge(
    services: Services, source: HttpSource, row: JobRow, export: Export, reply: Reply, api: Api
) -> tuple[Export, str | None]:
    """What a reply to a poll says about the export, and of its progress."""
    config, url = source.poll, str(export.poll_url)
    assert config is not None
    body = None
    if not config.status_code:
        api.check(reply, url)
        if config.status_header is None and reply.status == 202 and not reply.body.strip():
            return export, None
    is_json = config.status is not None or config.progress is not None or config.error is not None
    if is_json or _seems_json(reply):
        body = _refuse(api, config, reply, url, source.files.list)
    word = _word(config, reply, body, url, api)
    told = api.progress(jmespath.search(config.progress, body)) if config.progress is not None else None
    match config.status_mapping.meaning(word):
        case "running":
            return export, told
        case "skipped":
            return replace(export, state="skipped"), told
        case "completed":
            save_list(services, row, reply.body)
            return replace(export, state="ready", last=Heard.of("poll", url, reply, body)), told
        case "failed":
            raise ExportFailedError(
                f"{redact_url(url)}: the export ended with status {word!r}: {api.shown(reply.body)}"
            )
        case "timeout":
            raise ExportTimeoutError(f"{redact_url(url)}: the API gave up, status {word!r}: {api.shown(reply.body)}")
    if config.status_code:
        api.check(reply, url)
    raise UnknownStatusError(f"{redact_url(url)}: unknown status {word[:80]!r}: {api.shown(reply.body)}")


def _word(config: Poll, reply: Reply, body: Any, url: str, api: Api) -> str:
    if config.status_code:
        return str(reply.status)
    if config.status_header is not None:
        word: Any = reply.headers.get(config.status_header)
    else:
        word = jmespath.search(str(config.status), body)
    if isinstance(word, bool):
        return "true" if word else "false"
    if not isinstance(word, str | int):
        what = config.status_header or config.status
        raise NotInReplyError(f"{redact_url(url)}: {what!r} finds no status in {api.shown(reply.body)}")
    return api.credentials.mask(str(word))


def _seems_json(reply: Reply) -> bool:
    return "json" in reply.headers.get("Content-Type", "").lower()
