"""Fills the templates of a job document: from the job, its values, the replies so far, and an item of a list.

Knows where each place is looked up and how a value is written into a URL, a header and a body. Refuses to know what
the requests are for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode, urljoin

import jmespath

from sluiceway.errors import NotInReplyError
from sluiceway.redact import CREDENTIAL_HEADERS, redact_url, remember_header
from sluiceway.spec.requests import Request
from sluiceway.spec.templates import HEADER_NAME, PLACEHOLDER, split_place


@dataclass(frozen=True, slots=True)
class Heard:
    """A reply as it is kept: `body` is its JSON, without the items of a long list; header names are in lower case."""

    name: str | None
    url: str
    status: int
    headers: Mapping[str, str]
    body: Any

    @classmethod
    def of(cls, name: str | None, url: str, reply: Any, body: Any) -> Heard:
        return cls(name, url, reply.status, {key.lower(): reply.headers[key] for key in reply.headers}, body)

    @property
    def document(self) -> dict[str, Any]:
        return {"status": self.status, "headers": self.headers, "body": self.body}


@dataclass(frozen=True, slots=True)
class Filled:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Places:
    """`named` maps a place's name to a JSON document; `replies` are looked through from the last to the first where a
    path names no place; `show` is how the beginning of a reply may be told."""

    named: Mapping[str, Any]
    show: Callable[[str], str]
    replies: tuple[Heard, ...] = field(default_factory=tuple)

    def after(self, heard: Heard) -> Places:
        named = {**self.named, heard.name: heard.document} if heard.name else self.named
        return replace(self, named=named, replies=(*self.replies, heard))

    def with_item(self, item: Any, number: int) -> Places:
        """`number` counts the files of the list from 1."""
        return replace(self, named={**self.named, "item": item, "file": {"number": f"{number:05}"}})

    def request(self, request: Request) -> Filled:
        """Raises NotInReplyError where a place is empty."""
        headers, body = self.headers(request.headers), None
        match request:
            case Request(graphql=graphql) if graphql is not None:
                asked = {"query": self.text(graphql.query), "variables": self.value(graphql.variables)}
                body, kind = _json(asked), "application/json"
            case Request(form=form) if form is not None:
                body, kind = urlencode(self.value(form)).encode(), "application/x-www-form-urlencoded"
            case Request(json_body=document) if document is not None:
                body, kind = _json(self.value(document)), "application/json"
            case Request(body=text) if text is not None:
                body, kind = self.text(text).encode(), ""
            case _:
                kind = ""
        return Filled(request.method, self.url(request.url), ({"Content-Type": kind} if kind else {}) | headers, body)

    def url(self, template: str) -> str:
        """A value that stands first may be a whole URL; one inside is escaped, so that it stays one segment. A relative
        URL is relative to the last reply's."""

        def filled(match: re.Match[str]) -> str:
            value = self._text(match[1])
            return value if match.start() == 0 else quote(value, safe="")

        url = PLACEHOLDER.sub(filled, template)
        return urljoin(self.replies[-1].url, url) if self.replies else url

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        filled = {name: self.text(value) for name, value in headers.items()}
        for name, value in filled.items():
            if not HEADER_NAME.fullmatch(name) or not all(char.isprintable() or char == "\t" for char in value):
                raise NotInReplyError(f"header {name}: what the reply holds for it is no value of a header")
            if name.lower() in CREDENTIAL_HEADERS:
                remember_header(value)
        return filled

    def text(self, template: str) -> str:
        return PLACEHOLDER.sub(lambda match: self._text(match[1]), template)

    def value(self, value: Any) -> Any:
        """The value with every template in it filled; a text that is one template alone keeps the type of what it
        finds."""
        match value:
            case str() if whole := PLACEHOLDER.fullmatch(value):
                return self.find(whole[1])
            case str():
                return self.text(value)
            case dict():
                return {self.text(name): self.value(each) for name, each in value.items()}
            case list():
                return [self.value(each) for each in value]
        return value

    def find(self, expression: str) -> Any:
        """Raises NotInReplyError for what is not there."""
        place, path = split_place(expression)
        bodies = [heard.body for heard in reversed(self.replies)]
        for document in bodies if place is None else [self.named.get(place)]:
            value = jmespath.search(path, document)
            if value is not None:
                return value
        raise self._without(expression, "nothing")

    def _text(self, expression: str) -> str:
        value = self.find(expression)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return str(value)
        raise self._without(expression, "no text")

    def _without(self, expression: str, what: str) -> NotInReplyError:
        place, _ = split_place(expression)
        last = self.replies[-1].body if self.replies else None
        seen = self.named.get(place) if place else last
        shown = f" in {self.show(json.dumps(seen, ensure_ascii=False))}" if seen is not None else ""
        where = redact_url(self.replies[-1].url) if self.replies else "the job"
        return NotInReplyError(f"{where}: {expression.strip()!r} finds {what}{shown}")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
