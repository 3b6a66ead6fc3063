"""Certificates for loopback: a good one, one that has expired, one for another host, one nobody vouches for."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """Server contexts, and the path of the bundle that vouches for all but `untrusted`."""

    ca_bundle: str
    good: ssl.SSLContext
    expired: ssl.SSLContext
    other_host: ssl.SSLContext
    untrusted: ssl.SSLContext


def make_certificates(folder: Path) -> Certificates:
    ca, stranger = trustme.CA(), trustme.CA()
    bundle = folder / "ca.pem"
    ca.cert_pem.write_to_path(str(bundle))
    past = datetime.now(UTC) - timedelta(days=2)
    names = ("127.0.0.1", "localhost")
    return Certificates(
        str(bundle),
        _context(ca.issue_cert(*names)),
        _context(ca.issue_cert(*names, not_before=past, not_after=past + timedelta(days=1))),
        _context(ca.issue_cert("elsewhere.example")),
        _context(stranger.issue_cert(*names)),
    )


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
