"""Takes the secret parts out of a URL.

Signed links carry their signature in the query string, older ones a password before the host. What is left here
may stand in logs, events, the table, the report and exception texts; nothing else of a URL may.
"""

from __future__ import annotations

import functools
import re
from urllib.parse import urlsplit

REDACTED = "redacted"
# A URL inside a text ends where a space, a quote or a bracket stands.
_URL = re.compile(r"""[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>\\]+""")


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
    """The text with every URL in it redacted: for messages that somebody else wrote."""
    return _URL.sub(lambda match: redact_url(match.group()), text)


def redact_error(error: Exception) -> Exception:
    """The same error with every URL in its texts redacted: what a function raises stands in Lambda's log and in the
    history of the execution, whoever wrote it."""
    error.args = tuple(redact_text(each) if isinstance(each, str) else each for each in error.args)
    return error
