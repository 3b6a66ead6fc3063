"""Takes the secret parts out of URLs, texts and errors.

Signed links carry their signature in the query string, older ones a password before the host. What is left here
may stand in logs, events, the table, the report and exception texts; nothing else of a URL may. And out of errors that
nobody foresaw, which may quote anything: what the process was told to keep in mind, too.
"""

from __future__ import annotations

import functools
import re
from urllib.parse import urlsplit

REDACTED = "redacted"
# Before the host of a URL that stands in a text. A quote may be the password's own, or end the text that the URL is:
# then it is followed by what stands between texts.
USER_INFO = r"""(?:[^\s/?#"'<>]|["'<>](?![,:;|+})\]\s]))*"""
# A URL in a text ends at a space, and at a quote or a bracket unless more of its query follows. A backslash before a
# quote or n ends it, too, for so JSON writes a quote or the end of a line; \/ and \u0026 are a slash and an ampersand.
_MORE = r"""(?:[^\s"'<>\\]|\\(?!["'nrt])|["'<>](?=[\w&=%]))"""
_URL = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]{{0,31}}:(?://|\\/\\/)(?:{USER_INFO}@)?{_MORE}+")
# A piece of a URL, where it holds a value: urllib3 tells one without its host, and a query may hold what seems to end
# it. Neither pattern goes back far over what it has read: servers choose the texts.
_QUERY = re.compile(rf"([?&]|\\u0026){_MORE}*")
_ESCAPED = re.compile(r"\\(?:u00([2-7][0-9a-fA-F])|/)")
# Headers that carry credentials, in lower case.
CREDENTIAL_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token", "x-amz-access-token",
     "x-amz-security-token", "x-shopify-access-token"}
)  # fmt: skip
# As HTTP writes a header, and as Python shows one in a mapping or among pairs.
_HEADER = re.compile(
    rf"""((?:{"|".join(sorted(CREDENTIAL_HEADERS))})['"]?\s*[:=,]\s*b?['"]?)[^'"\r\n]+""", re.IGNORECASE
)
SECRET_CHARS = 6
# The secrets that this process has read or was given.
IN_MIND: set[str] = set()


@functools.lru_cache(maxsize=16)  # one file's URL is redacted several times in a row
def redact_url(url: str) -> str:
    """`https://user:pw@host/path?sig=1#f` -> `https://host/path?redacted`. Never raises: a URL without a
    host comes back as its scheme and `redacted`, one too odd to be parsed as `redacted` alone."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if ":" in host:
            host = f"[{host}]"
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return REDACTED
    if not parts.scheme or not host:
        return f"{parts.scheme}:{REDACTED}" if parts.scheme else REDACTED
    query = f"?{REDACTED}" if parts.query else ""
    path = parts.path
    if not path.isprintable():
        path = "".join(char if char.isprintable() else "?" for char in path)
    return f"{parts.scheme}://{host}{port}{path}{query}"


def redact_text(text: str) -> str:
    """The text with every URL in it redacted, and what looks like a piece of a query: for messages that somebody else
    wrote."""
    text = _URL.sub(lambda match: redact_url(_unescaped(match.group())), text)
    return _QUERY.sub(lambda match: match[1] + REDACTED if "=" in _unescaped(match.group()) else match.group(), text)


def remember_secret(secret: str) -> str:
    """Keeps in mind, in this process alone, what no text may show; answers with it."""
    # What is very short stands in any text by chance.
    if len(secret) >= SECRET_CHARS:
        IN_MIND.add(secret)
    return secret


def remember_header(value: str) -> str:
    """Keeps the value of a header in mind, also without its scheme or name, as in `Bearer …` and `session=…`; answers
    with it."""
    remember_secret(value.rpartition(" ")[2])
    remember_secret(value.partition("=")[2])
    return remember_secret(value)


def redact_all(text: str) -> str:
    """As `redact_text`, and without the secrets that this process has used."""
    # A copy: other threads may read secrets meanwhile.
    for secret in sorted(IN_MIND.copy(), key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return redact_text(text)


def redact_unforeseen(text: str) -> str:
    """As `redact_all`, and without the headers of a request that carry credentials, which a library may quote."""
    return redact_all(_HEADER.sub(lambda match: match[1] + REDACTED, text))


def redact_error(error: BaseException) -> BaseException:
    """The same error without a secret in any of its texts, in its notes, or in an error behind it. One that makes its
    text of something else than its arguments gives its place to another of the same name."""
    return _redacted(error, {})


def _unescaped(url: str) -> str:
    """A URL as JSON may spell it, without the escapes of printable ASCII."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)) if match[1] else "/", url)


def _redacted(error: BaseException, seen: dict[int, BaseException]) -> BaseException:
    if id(error) in seen:
        return seen[id(error)]
    shown = seen[id(error)] = _shown(error)
    cause, context, is_suppressed = error.__cause__, error.__context__, error.__suppress_context__
    shown.__cause__ = _redacted(cause, seen) if cause is not None else None
    shown.__context__ = _redacted(context, seen) if context is not None else None
    shown.__suppress_context__ = is_suppressed
    return shown


def _shown(error: BaseException) -> BaseException:
    notes = [redact_unforeseen(str(note)) for note in getattr(error, "__notes__", ())]
    try:
        error.args = tuple(redact_unforeseen(each) if isinstance(each, str) else each for each in error.args)
        text = str(error)
    except Exception:  # a text that cannot be had cannot be shown either, by nobody's fault that could be told here
        text = f"{REDACTED}: {type(error).__name__} has no text"
    # A group holds further errors, each with texts of its own.
    if text != redact_unforeseen(text) or text.startswith(REDACTED) or isinstance(error, BaseExceptionGroup):
        base = Exception if isinstance(error, Exception) else BaseException
        kind = type(type(error).__name__, (base,), {"__module__": type(error).__module__})
        shown: BaseException = kind(redact_unforeseen(text)).with_traceback(error.__traceback__)
    else:
        shown = error
    if notes:
        shown.__notes__ = notes
    return shown
