"""A configurable export API, as users describe it: the request that starts an export, how to ask whether it is done,
and where the list of files stands in the reply.

Knows the fields and that each JMESPath parses. Refuses to make a request: exports/http.py does. URLs may hold
`{{ path }}`: the JMESPath is looked up in the last reply, or else in the reply to the start request.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sluiceway.spec.entries import check_url
from sluiceway.spec.mistakes import expected
from sluiceway.transfer.digest import ALGORITHMS

PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}")
# RFC 9110, 5.6.2: a field name is a token. A value with a line break would be a second header.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _check_path(path: str) -> str:
    try:
        jmespath.compile(path)
    except JMESPathError:
        raise expected("a JMESPath expression") from None
    return path


def _check_template(url: str) -> str:
    for path in PLACEHOLDER.findall(url):
        _check_path(path.strip())
    if not PLACEHOLDER.match(url):
        check_url(PLACEHOLDER.sub("x", url))
    return url


def _check_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not all(char.isprintable() or char == "\t" for char in value):
            raise expected("header names and values of HTTP")
    return headers


JmesPath = Annotated[str, Field(min_length=1), AfterValidator(_check_path)]
Url = Annotated[str, AfterValidator(check_url)]
UrlTemplate = Annotated[str, Field(min_length=1), AfterValidator(_check_template)]
Headers = Annotated[dict[str, str], AfterValidator(_check_headers)]
Seconds = Annotated[float, Field(ge=1, le=86400)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Start(Strict):
    """The request that starts the export. `json` is sent as JSON, `body` as it is; at most one of them."""

    url: Url
    method: Literal["GET", "POST", "PUT"] = "POST"
    headers: Headers = {}
    body: str | None = None
    json_body: Annotated[Any, Field(alias="json")] = None

    @model_validator(mode="after")
    def _one_body(self) -> Start:
        if self.body is not None and self.json_body is not None:
            raise expected("body or json, not both")
        return self


class Poll(Strict):
    """How to ask whether the export is done: by GET of `url`, or of the URL in the header `url_header` of the start
    reply. `status` finds the state in the reply. A state that is in neither list is running, unless `running` lists
    what is: then it is an error."""

    url: UrlTemplate | None = None
    url_header: Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")] | None = None
    headers: Headers = {}
    status: JmesPath
    completed: Annotated[list[str], Field(min_length=1)]
    failed: list[str] = []
    running: list[str] | None = None
    interval_seconds: Seconds = 10
    max_interval_seconds: Seconds = 300
    timeout_minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)] = 720

    @model_validator(mode="after")
    def _one_url(self) -> Poll:
        if (self.url is None) == (self.url_header is None):
            raise expected("url or url_header, one of them")
        return self


class Files(Strict):
    """Where the list stands: `list` finds it in the last reply, or in the reply to a GET of `list_url`. Its items are
    URLs, or objects in which `url`, `key`, `size` and the digests are found. A relative URL is relative to the
    reply's."""

    list: JmesPath
    list_url: UrlTemplate | None = None
    url: JmesPath = "url"
    key: JmesPath | None = None
    size: JmesPath | None = None
    digests: dict[str, JmesPath] = {}
    headers_secret: Annotated[str, Field(min_length=1, max_length=512)] | None = None

    @model_validator(mode="after")
    def _known_digests(self) -> Files:
        if not self.digests.keys() <= ALGORITHMS.keys():
            raise expected(f"digests named {', '.join(ALGORITHMS)}")
        return self


class HttpSource(Strict):
    """An export API. Without `poll` the reply to the start request is complete. `headers_secret` names the headers
    for the API itself, `files.headers_secret` those for the files."""

    type: Literal["http"]
    start: Start
    poll: Poll | None = None
    files: Files
    headers_secret: Annotated[str, Field(min_length=1, max_length=512)] | None = None
