"""Where bytes may come from: one URL policy in front of every request, redirects included.

Knows which URLs and which addresses are allowed. https to public addresses is the default; a host allowed by name
may be private or plain http. The address that was checked is the address connected to (source/connections.py), so a
name that resolves differently the second time finds no gap.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from sluiceway.errors import PolicyError, SourceUnreachableError
from sluiceway.redact import redact_url

MAX_URL_CHARS = 8192
MAX_PORT = 65535
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
DEFAULT_PORTS = {"https": 443, "http": 80}

# Cloud metadata services; never a source, not even when allowed by name. EC2 and most others, ECS, EKS (IPv4 and
# IPv6), EC2 over IPv6, Google Cloud over IPv6, Alibaba Cloud, Azure's wire server, Oracle Cloud's classic service.
METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::23", "fd00:ec2::254", "fd20:ce::254",
        "100.100.100.200", "168.63.129.16", "192.0.0.192",
    )
)  # fmt: skip

# RFC 6052: the well-known prefix in which a NAT64 gateway embeds an IPv4 address in the last 32 bits.
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# RFC 8215: the prefix for gateways of a network's own. How long their prefix is, nobody else can tell: the address may
# stand in the octets that RFC 6052, 2.2, gives to prefixes of 48, 56, 64 or 96 bits.
LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
LOCAL_NAT64_OCTETS = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))
# RFC 4291, 2.4, and IANA: the only block of IPv6 from which public unicast addresses are given out.
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# RFC 4291, 2.5.5.1: the deprecated form ::a.b.c.d.
COMPATIBLE = ipaddress.ip_network("::/96")
LOOPBACK = ipaddress.IPv4Address("127.0.0.1")

# Letters, digits, dots, hyphens, underscores (some CDNs have them); or the hex of an IPv6 address. Parsers disagree on
# anything else (percent escapes, zone ids, Unicode look-alikes of dots), and a disagreement is a way around the policy.
HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host (lower case, no brackets) and port of a URL that the policy let through."""

    scheme: str
    host: str
    port: int


def resolve(host: str, port: int) -> list[str]:
    """All addresses of `host`, each once. Raises OSError (gaierror)."""
    found: list[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class UrlPolicy:
    """`allowed_sources` are HOST or HOST:PORT: permitted although private or plain http. `only_hosts`, when given, are
    the only others permitted at all; `.example.com` stands for its subdomains."""

    def __init__(
        self,
        allowed_sources: Sequence[str] = (),
        *,
        only_hosts: Sequence[str] = (),
        resolver: Resolver = resolve,
        runtime_api: str | None = None,
    ) -> None:
        self._allowed = {entry.lower() for entry in allowed_sources}
        self._only = tuple(host.lower().strip("[]") for host in only_hosts)
        self._resolver = resolver
        # The function's own Runtime API: whoever reaches it can answer invocations in the function's name.
        self._runtime_api = _runtime_api(
            runtime_api if runtime_api is not None else os.environ.get("AWS_LAMBDA_RUNTIME_API", ""), resolver
        )

    def check(self, url: str) -> Origin:
        """Checks everything that the URL itself tells. Raises PolicyError naming the rule."""
        shown = redact_url(url) if len(url) <= MAX_URL_CHARS else f"a URL of {len(url)} characters"
        if wrong := wrong_url(url):
            raise PolicyError(f"{shown}: expected {wrong}")
        parts = urlsplit(url)
        if parts.username is not None or parts.password is not None:
            raise PolicyError(f"{shown}: user-info in a URL is not allowed; use headers_secret or auth")
        origin = Origin(parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme])
        if not self._is_permitted(origin):
            raise PolicyError(f"{shown}: host {origin.host} is not in the list of permitted hosts")
        if origin.scheme == "http" and not self._is_allowed(origin.host, origin.port):
            raise PolicyError(f"{shown}: plain http is allowed only to hosts named in allowed_sources")
        return origin

    def check_redirect(self, before: Origin, url: str) -> Origin:
        """Checks the target of a redirect: a URL like any other, and never down from https to http."""
        after = self.check(url)
        if before.scheme == "https" and after.scheme == "http":
            raise PolicyError(f"{redact_url(url)}: a redirect from https to http is not allowed")
        return after

    def addresses(self, host: str, port: int) -> list[str]:
        """Resolves `host` once and returns its addresses, all of them checked. Raises PolicyError when one of them is
        not allowed, SourceUnreachableError when the name does not resolve."""
        try:
            found = list(self._resolver(host, port))
        except OSError as error:
            raise SourceUnreachableError(f"host {host} does not resolve: {error.strerror or error}") from error
        for text in found:
            self._check_address(host, port, ipaddress.ip_address(text.split("%")[0]))
        return found

    def _check_address(self, host: str, port: int, address: Address) -> None:
        for each in _with_embedded(address):
            if (_own(each), str(port)) in self._runtime_api:
                raise PolicyError(f"host {host} leads to this function's own Runtime API")
            if each in METADATA_ADDRESSES:
                raise PolicyError(f"host {host} leads to the metadata address {each}")
            if not self._is_allowed(host, port) and not _is_public(each):
                raise PolicyError(
                    f"host {host} leads to {each}, which is not a public address; name the host in allowed_sources"
                )

    def _is_permitted(self, origin: Origin) -> bool:
        if not self._only or self._is_allowed(origin.host, origin.port):
            return True
        return any(origin.host == name or (name[0] == "." and origin.host.endswith(name)) for name in self._only)

    def _is_allowed(self, host: str, port: int) -> bool:
        return host in self._allowed or f"{host}:{port}" in self._allowed or f"[{host}]:{port}" in self._allowed


def wrong_url(url: str) -> str | None:
    """What was expected in the place of `url`, by its spelling alone; None where that is good. User-info is judged
    elsewhere: of a file in somebody else's list it is told when the file's turn comes."""
    if len(url) > MAX_URL_CHARS:
        return f"a URL of at most {MAX_URL_CHARS} characters"
    if _FORBIDDEN.search(url):
        return "a URL without spaces, control characters and backslashes"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL whose host is a name or an address, IPv6 in brackets"
    if parts.scheme not in DEFAULT_PORTS:
        return "a URL like https://host/path"
    if not parts.hostname:
        return "a URL that names a host, like https://host/path"
    if not HOST.fullmatch(parts.hostname):
        return "a URL whose host is letters, digits, dots and hyphens (xn-- for others), or an address"
    if not _has_good_port(parts):
        return f"a URL whose port is a number from 1 to {MAX_PORT}"
    return "a URL without a fragment, which no server sees" if "#" in url else None


def _has_good_port(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def _runtime_api(text: str, resolver: Resolver) -> set[tuple[Address, str]]:
    """Every address of HOST:PORT, in the form that `_own` gives it, with the port."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    try:
        return {(_own(ipaddress.ip_address(host)), port)}
    except ValueError:
        return {(_own(ipaddress.ip_address(each.split("%")[0])), port) for each in _resolved(host, port, resolver)}


def _resolved(host: str, port: str, resolver: Resolver) -> list[str]:
    """Empty where `host` is none: by a name that leads nowhere nobody comes to the Runtime API."""
    try:
        return list(resolver(host, int(port))) if host else []
    except OSError:
        return []


def _own(address: Address) -> Address:
    """The address, or 127.0.0.1 for all that lead to the machine itself: connecting to an unspecified one does too."""
    return LOOPBACK if address.is_loopback or address.is_unspecified else address


def _with_embedded(address: Address) -> list[Address]:
    """The address and any IPv4 address inside it: ::ffff:a.b.c.d, NAT64, 6to4 and Teredo forms."""
    found: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in NAT64 or (address in COMPATIBLE and int(address) > 1):
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address in LOCAL_NAT64:
            held = [bytes(address.packed[n] for n in octets) for octets in LOCAL_NAT64_OCTETS]
            inner += [ipaddress.IPv4Address(each) for each in held if any(each)]
        found += [each for each in inner if each is not None]
        if address.ipv4_mapped is not None:
            found.remove(address)
    return found


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64:
            return True  # judged by the IPv4 address inside it
        if address not in GLOBAL_UNICAST:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
