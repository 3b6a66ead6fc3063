"""A configurable export API, as users describe it: how an export is started, awaited, listed, fetched and cleaned up.

Knows the fields, that each JMESPath parses, and that each template names a place there is. Refuses to make a request:
exports/ does. The vocabulary is that of Airbyte's AsyncRetriever (creation, polling, status mapping, download, abort,
delete).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from sluiceway.spec import presets
from sluiceway.spec.auth import Auth, NoAuth, SmartAuth, Strict
from sluiceway.spec.links import check_texts
from sluiceway.spec.mistakes import expected
from sluiceway.spec.requests import Request, Start
from sluiceway.spec.templates import (
    HeaderName,
    Headers,
    Host,
    JmesPath,
    SecretName,
    Template,
    UrlTemplate,
    places_of,
)
from sluiceway.transfer.digest import ALGORITHMS

# An execution's history ends at 25,000 events, and a poll costs about ten of them.
MAX_POLLS = 1000
STATUSES = ("running", "completed", "failed", "timeout", "skipped")
# Places that templates may name beside the requests that came before.
JOB_PLACES = ("id", "run", "created_at", "stamp")

Seconds = Annotated[float, Field(ge=1, le=86400)]


def _how_many(value: Any) -> str:
    return "several" if isinstance(value, list) else "one"


def _word_or_scheme(value: Any) -> str:
    return "word" if isinstance(value, str) else "scheme"


class StatusMapping(Strict):
    """What the API's words for a state mean. A word in none of the lists is an error."""

    running: list[str] = []
    completed: Annotated[list[str], Field(min_length=1)]
    failed: list[str] = []
    timeout: list[str] = []
    skipped: list[str] = []

    @model_validator(mode="after")
    def _one_meaning(self) -> StatusMapping:
        words = [word for name in STATUSES for word in getattr(self, name)]
        if len(words) != len(set(words)):
            raise expected("each status in one list only")
        return self

    def meaning(self, word: str) -> str | None:
        return next((name for name in STATUSES if word in getattr(self, name)), None)


class Poll(Request):
    """How to ask whether the export is done: at `url`, or at the URL in the header `url_header` of the last start
    reply. The state is what `status` finds in the reply, what the header `status_header` says, or, with `status_code`,
    the HTTP status as a text."""

    url: UrlTemplate | None = None  # type: ignore[assignment]
    url_header: HeaderName | None = None
    status: JmesPath | None = None
    status_header: HeaderName | None = None
    status_code: bool = False
    status_mapping: StatusMapping
    progress: JmesPath | None = None
    interval_seconds: Seconds = 10
    max_interval_seconds: Seconds = 300
    backoff: Annotated[float, Field(ge=1, le=10)] = 1.5
    max_retry_after_seconds: Seconds = 3600
    timeout_minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)] = 720
    max_polls: Annotated[int, Field(ge=1, le=MAX_POLLS)] = MAX_POLLS

    @model_validator(mode="after")
    def _one_of_each(self) -> Poll:
        if (self.url is None) == (self.url_header is None):
            raise expected("url or url_header, one of them")
        if (self.status is not None) + (self.status_header is not None) + self.status_code != 1:
            raise expected("status, status_header or status_code, one of them")
        return self


class Pagination(Strict):
    """How the next page of the list is asked for: at the link `next` finds; with the query parameter `param` set to
    what `cursor` finds, or to what the header `locator_header` says; or with `param` counting on by the entries so far
    (`offset`) or by pages (`page`, from `first`). `total` finds how many files there are: a list that disagrees
    changed while it was read."""

    next: JmesPath | None = None
    cursor: JmesPath | None = None
    locator_header: HeaderName | None = None
    offset: bool = False
    page: bool = False
    param: str | None = None
    first: Annotated[int, Field(ge=0)] = 1
    total: JmesPath | None = None
    max_pages: Annotated[int, Field(ge=1, le=100_000)] = 10_000

    @model_validator(mode="after")
    def _one_way(self) -> Pagination:
        ways = [self.next is not None, self.cursor is not None, self.locator_header is not None, self.offset, self.page]
        if sum(ways) != 1:
            raise expected("next, cursor, locator_header, offset or page, one of them")
        if (self.param is None) != (self.next is not None):
            raise expected("param, the query parameter to set" if self.param is None else "next without param")
        return self


class Link(Strict):
    """A second request for each file, a GET made when its turn has come: `link` finds the real URL in the reply."""

    url: UrlTemplate
    headers: Headers = {}
    link: JmesPath = "url"


class Files(Strict):
    """Where the list stands: `list` finds it in the last reply, or in the reply to `request`. Its items are URLs, or
    objects in which the URL, key, size and digests are found. Without `list`, each page of `request` is a file itself.
    A relative URL is relative to the reply's. `name` is a template for the key, with `item:path` and `file:number`."""

    list: JmesPath | None = None
    request: Request | None = None
    pagination: Pagination | None = None
    url: JmesPath = "url"
    key: JmesPath | None = None
    name: Template | None = None
    size: JmesPath | None = None
    digest: JmesPath | None = None
    digests: dict[str, JmesPath] = {}
    link: Link | None = None
    headers_secret: SecretName | None = None

    @field_validator("digests")
    @classmethod
    def _known_digests(cls, digests: dict[str, str]) -> dict[str, str]:
        if not digests.keys() <= ALGORITHMS.keys():
            raise expected(f"digests named {', '.join(ALGORITHMS)}")
        return digests

    @model_validator(mode="after")
    def _complete(self) -> Files:
        if self.list is None and (self.request is None or self.name is None):
            raise expected("list, or request and name")
        if self.key is not None and self.name is not None:
            raise expected("key or name, not both")
        if self.pagination is not None and self.pagination.next is None and self.request is None:
            raise expected("request, which pagination asks again with another parameter")
        return self


class Download(Strict):
    """How the files are asked for. `auth` "inherit" is the API's own; "none" suits links that carry a signature of
    theirs. What may be secret (credentials, the headers of `files.headers_secret`, and those in which a reply has a
    say) is sent to the hosts of the API's requests, or to `hosts` in their place, and to no other."""

    auth: Annotated[
        Annotated[Literal["inherit", "none"], Tag("word")] | Annotated[Auth, Tag("scheme")],
        Discriminator(_word_or_scheme),
    ] = "none"
    hosts: list[Host] = []
    headers: Headers = {}


class Callback(Strict):
    """How a call of the API is proven: the header `signature_header` holds an HMAC, by the text of `secret`, of the
    body, or, with `timestamp_header`, of `TIMESTAMP.BODY`; `prefix` leads it. A timestamp further away than
    `max_age_seconds` is refused. Heard nothing for `heartbeat_minutes`, the job asks once by itself and sleeps on;
    after `timeout_minutes` in all it no longer counts on a call, and polls."""

    secret: SecretName
    signature_header: HeaderName = "X-Signature"
    prefix: str = ""
    algorithm: Literal["sha256", "sha384", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    timestamp_header: HeaderName | None = None
    max_age_seconds: Annotated[int, Field(ge=1, le=86400)] = 300
    heartbeat_minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)] = 15
    timeout_minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)] = 60


class HttpSource(Strict):
    """An export API. Without `poll` the reply to the start request is complete. `headers_secret` names further headers
    for the API itself. `with` are values for templates; those of `preset` must be there."""

    type: Literal["http"]
    preset: str | None = None
    values: Annotated[dict[str, str], Field(alias="with"), AfterValidator(check_texts)] = {}
    auth: Auth = NoAuth()
    start: Annotated[
        Annotated[Start, Tag("one")] | Annotated[list[Start], Field(min_length=1, max_length=10), Tag("several")],
        Discriminator(_how_many),
    ]
    poll: Poll | None = None
    files: Files
    download: Download = Download()
    finish: Request | None = None
    abort: Request | None = None
    wait: Literal["poll", "callback"] = "poll"
    callback: Callback | None = None
    headers_secret: SecretName | None = None

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, raw: Any) -> Any:
        return presets.expand(raw) if isinstance(raw, dict) and "preset" in raw else raw

    @model_validator(mode="after")
    def _callback_is_whole(self) -> HttpSource:
        if self.wait == "callback" and (self.callback is None or self.poll is None):
            raise expected("callback and poll, where wait is callback")
        return self

    @model_validator(mode="after")
    def _places_are_there(self) -> HttpSource:
        for where, places, names in self._places():
            for place, path in places:
                if not self._is_there(place, path, names):
                    raise expected(f"a place in {where} that there is, unlike {place}:{path}")
        return self

    @field_validator("auth")
    @classmethod
    def _token_url_is_named(cls, auth: Auth) -> Auth:
        if isinstance(auth, SmartAuth) and auth.token_url is None:
            raise expected("token_url; only a FHIR server tells it")
        return auth

    @property
    def starts(self) -> list[Start]:
        return self.start if isinstance(self.start, list) else [self.start]

    def _places(self) -> list[tuple[str, list[tuple[str | None, str]], set[str]]]:
        """Where templates stand, the places they refer to, and what the requests before them and, where there is an
        item, it and its file are called."""
        found: list[tuple[str, list[tuple[str | None, str]], set[str]]] = []
        seen: set[str] = set()
        for n, start in enumerate(self.starts):
            found.append((f"start[{n}]" if isinstance(self.start, list) else "start", start.places, set(seen)))
            seen |= {start.name} if start.name else set()
        others = {"poll": self.poll, "files.request": self.files.request, "finish": self.finish, "abort": self.abort}
        found += [(where, request.places, seen) for where, request in others.items() if request is not None]
        found.append(("download.headers", places_of(self.download.headers), seen))
        found.append(("files.name", places_of(self.files.name), seen | {"item", "file"}))
        if self.files.link is not None:
            found.append(("files.link.headers", places_of(self.files.link.headers), seen))
            found.append(("files.link", places_of(self.files.link.url), seen | {"item", "file"}))
        return found

    def _is_there(self, place: str | None, path: str, names: set[str]) -> bool:
        match place:
            case None:
                return True
            case "job":
                return path in JOB_PLACES
            case "with":
                return path in self.values
            case "callback":
                return path == "url" and self.wait == "callback"
            case "file":
                return path == "number" and place in names
        return place in names
