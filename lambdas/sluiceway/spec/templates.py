"""What users may write into requests to an export API: JMESPath expressions, and texts with `{{ … }}` in them.

Knows that each expression parses and that each names a place there is. Refuses to fill a template in:
exports/filling.py does. A place is `job:id`, `with:NAME`, `callback:url`, `NAME:headers.location` (an earlier request
by its name), or a JMESPath alone, which is looked up in the last reply, then in those before it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field

from sluiceway.redact import CREDENTIAL_HEADERS
from sluiceway.source.hosts import wrong_source
from sluiceway.spec.links import ELSEWHERE, check_texts, check_url, refuse_user_info
from sluiceway.spec.mistakes import expected, found

PLACEHOLDER = re.compile(r"\{\{((?:(?!\}\}).)*)\}\}", re.DOTALL)
# `name:path`. A colon stands in JMESPath only inside brackets and braces, so no expression begins like this.
PLACE = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*)\s*:\s*(.+?)\s*", re.DOTALL)
# RFC 9110, 5.6.2: a field name is a token. A value with a line break would be a second header.
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# What stands around a credential that an earlier reply told: a scheme, as `Bearer `, or a name, as `session=`.
AROUND = re.compile(r"[A-Za-z_-]{0,20}[ =]?")
# Places whose values are the document's own, or no secrets.
NO_REPLIES = ("with", "job", "callback")


def check_path(path: str) -> str:
    try:
        jmespath.compile(path)
    except JMESPathError:
        raise expected("a JMESPath expression") from None
    return path


def split_place(text: str) -> tuple[str | None, str]:
    """`start:body.id` -> ("start", "body.id"); a path alone -> (None, path)."""
    match = PLACE.fullmatch(text)
    return (match[1], match[2]) if match else (None, text.strip())


def places_of(value: Any) -> list[tuple[str | None, str]]:
    """Every place that the strings in a value, whatever its depth, refer to."""
    match value:
        case str():
            return [split_place(text) for text in PLACEHOLDER.findall(value)]
        case dict():
            return [place for each in (*value, *value.values()) for place in places_of(each)]
        case list():
            return [place for each in value for place in places_of(each)]
    return []


def check_template(value: Any) -> Any:
    for _, path in places_of(value):
        check_path(path)
    return check_texts(value)


def check_url_template(url: str) -> str:
    for _, path in places_of(url):
        check_path(path)
    filled = PLACEHOLDER.sub("x", url)
    refuse_user_info(filled)
    # A value that stands first may be a whole URL, or the beginning of one.
    check_url(f"https://{filled}" if PLACEHOLDER.match(url) else filled)
    return url


def check_headers(headers: dict[str, str]) -> dict[str, str]:
    """A job document is kept as it is, so a credential in it would be there for all who may read jobs."""
    for name, value in headers.items():
        # The name is what was found and not in the path: with a colon behind it, it is taken for the header itself.
        if not HEADER_NAME.fullmatch(name) or not all(char.isprintable() or char == "\t" for char in value):
            raise expected("header names and values of HTTP", found=found(name))
        if name.lower() in CREDENTIAL_HEADERS and not _is_from_a_reply(value):
            raise expected(f"headers without credentials: {ELSEWHERE}", found=found(name))
    return check_template(headers)  # type: ignore[no-any-return]


def _is_from_a_reply(value: str) -> bool:
    """Whether all that is secret in the value is looked up in what the API has answered."""
    places = places_of(value)
    are_replies = bool(places) and all(place not in NO_REPLIES for place, _ in places)
    return are_replies and AROUND.fullmatch(PLACEHOLDER.sub("", value)) is not None


def is_told(value: str) -> bool:
    """Whether a reply has a say in the value: it may be a credential then, whatever its header is called."""
    return any(place not in NO_REPLIES for place, _ in places_of(value))


def check_host(host: str) -> str:
    wrong = wrong_source(host)
    if wrong is not None:
        raise expected(f"{wrong}, as the links have it")
    return host.lower()


JmesPath = Annotated[str, Field(min_length=1), AfterValidator(check_path)]
Url = Annotated[str, AfterValidator(check_url)]
Template = Annotated[str, Field(min_length=1), AfterValidator(check_template)]
UrlTemplate = Annotated[str, Field(min_length=1), AfterValidator(check_url_template)]
Headers = Annotated[dict[str, str], AfterValidator(check_headers)]
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
Host = Annotated[str, AfterValidator(check_host)]
SecretName = Annotated[str, Field(min_length=1, max_length=512)]
