"""Which hosts were refused only because nobody has named them, and how a command names them.

Knows the rules of the URL policy that --allow-source lifts, by what PolicyError says; a stack has a setting for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

SHOWN = 5
_BY_ADDRESS = re.compile(r"host (\S+) leads to \S+, which is not a public address")
_BY_SCHEME = re.compile(r"(http://\S+): plain http is allowed only")


def hint(refusals: Iterable[tuple[str, str]]) -> str | None:
    """`(if you trust that host: --allow-source files.internal:8080)`, from the URL and the message of each refusal;
    None where naming a host would change nothing."""
    hosts: list[str] = []
    for url, message in refusals:
        host = _untrusted(url, message)
        if host is not None and host not in hosts:
            hosts.append(host)
        if len(hosts) > SHOWN:
            break
    if not hosts:
        return None
    options = " ".join(f"--allow-source {host}" for host in hosts[:SHOWN])
    more = " …" if len(hosts) > SHOWN else ""
    return f"(if you trust {'that host' if len(hosts) == 1 else 'those hosts'}: {options}{more})"


def _untrusted(url: str, message: str) -> str | None:
    """The host, with its port where one is known: a redirect may have led away from `url`."""
    if found := _BY_SCHEME.search(message):
        return urlsplit(found[1]).netloc
    found = _BY_ADDRESS.search(message)
    if found is None:
        return None
    asked = urlsplit(url)
    if asked.hostname == found[1]:
        return asked.netloc.rpartition("@")[2]
    return f"[{found[1]}]" if ":" in found[1] else found[1]
