"""URLs as users write them: what is wrong with one, told without quoting what may be secret.

Knows that a user or password in a URL is a credential in the clear: it is refused where users write it, and taken out
where somebody else's list has it. How a URL may be spelt the URL policy says, so that what is taken here is not refused
when a file's turn has come. Refuses to know whether a host may be asked.
"""

from __future__ import annotations

import re
from typing import Any

from sluiceway.redact import REDACTED, USER_INFO, redact_url
from sluiceway.source.policy import wrong_url
from sluiceway.spec.mistakes import expected

# The user-info of a URL, whatever characters it has; also of one too broken to be parsed.
_OF_URL = re.compile(r"://([^/?#]*)@")
# The same where a text begins with the URL, and where it stands in a text.
_IN_TEXT = (re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://([^\s/?#]*)@"), re.compile(rf"://({USER_INFO})@"))
ELSEWHERE = "they belong in a secret that auth or headers_secret names"
NO_USER = f"a URL without a user or password: {ELSEWHERE}"
WITH_USER = "one with them"


def check_url(url: str) -> str:
    """Raises the expectation that `url` fails."""
    refuse_user_info(url)
    wrong = wrong_url(url)
    if wrong is None and not url.isprintable():
        wrong = "a URL of characters that can be printed"
    if wrong is not None:
        raise expected(wrong)
    return url


def refuse_user_info(url: str) -> str:
    """Raises the expectation that a URL with a user or password fails."""
    if has_user_info(url):
        raise expected(NO_USER, found=WITH_USER)
    return url


def has_user_info(url: str) -> bool:
    """Whether a URL holds a user or password; one that `without_user_info` made holds none."""
    found = _OF_URL.match(url, url.index("://")) if "://" in url else None
    return found is not None and found[1] != REDACTED


def without_user_info(url: str) -> str:
    """`https://me:pw@host/a?sig=1` -> `https://redacted@host/a?redacted`: it says that there was one, so the URL policy
    rejects the file, and is no secret. A URL too broken to be parsed stays as it is."""
    scheme, mark, rest = redact_url(url).partition("://")
    return f"{scheme}{mark}{REDACTED}@{rest}" if mark else url


def check_texts(value: Any) -> Any:
    """Raises the expectation that a value fails if a text in it, whatever its depth, has a URL with a password."""
    match value:
        case str():
            if any(":" in found for pattern in _IN_TEXT for found in pattern.findall(value)):
                raise expected(NO_USER, found=WITH_USER)
        case dict():
            for each in (*value, *value.values()):
                check_texts(each)
        case list():
            for each in value:
                check_texts(each)
    return value
