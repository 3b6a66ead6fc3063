"""Who may ask a server on loopback: programs of this machine, and no page in a browser.

Knows by what a page is told: an Origin, or a Sec-Fetch-Site that says it asks another site, headers which browsers add
and pages cannot take away; and a Host that is not this machine's, for a page reads replies by having its own name lead
here (DNS rebinding). Refuses to know what is asked for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

# W3C, "Fetch Metadata Request Headers": what a user typed into the browser, and pages that came from here.
_NO_OTHER_SITE = (None, "none", "same-origin")


def refusal(headers: Mapping[str, str]) -> str | None:
    """Why a request with these headers, their names in lower case, is not answered; None for one that is."""
    if "origin" in headers or headers.get("sec-fetch-site") not in _NO_OTHER_SITE:
        return "web pages may not use this server, and the request's headers say that it comes from one"
    host = headers.get("host", "")
    if host and not is_loopback(host):
        return f"this server answers as 127.0.0.1, [::1], localhost or a name below it, not as Host: {host}"
    return None


def is_loopback(host: str) -> bool:
    """`host` as in a Host header, with or without a port. S3's clients put a bucket's name before `localhost`."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
