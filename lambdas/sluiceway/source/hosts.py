"""HOST or HOST:PORT: how sources are permitted by name, in settings and on the command line.

Knows what can be one. Refuses to know what is permitted: the URL policy does.
"""

from __future__ import annotations

import ipaddress
import re

from sluiceway.source.policy import MAX_PORT

# An IPv6 address stands in brackets; some CDNs have underscores.
_SOURCE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]+))?")
_IPV4 = re.compile(r"[0-9.]+")


def wrong_source(text: str) -> str | None:
    """What was expected in the place of `text`; None where that is good."""
    match = _SOURCE.fullmatch(text)
    if match is None:
        return "HOST or HOST:PORT, an IPv6 address in brackets"
    host, port = match.groups()
    if port is not None and not (len(port) <= len(str(MAX_PORT)) and 1 <= int(port) <= MAX_PORT):
        return f"HOST or HOST:PORT with a port from 1 to {MAX_PORT}"
    try:
        if host.startswith("["):
            ipaddress.IPv6Address(host.strip("[]"))
        elif _IPV4.fullmatch(host):
            ipaddress.IPv4Address(host)
    except ValueError:
        return "HOST or HOST:PORT with an IP address that is one"
    return None
