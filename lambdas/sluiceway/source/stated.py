"""The digests a server states about a file in the headers of its reply. Pure: headers in, lower-case hex out.

Knows five conventions: `Repr-Digest` (RFC 9530), `Digest` (RFC 3230), `Content-MD5` (RFC 1864), `x-goog-hash` (Google
Cloud Storage) and `x-amz-checksum-*` of type FULL_OBJECT (Amazon S3). `Content-Digest` covers one message, which a
range makes a piece of the file, and is left alone; so are algorithms nobody here computes and values that are no
digest at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sluiceway.errors import DigestMismatchError
from sluiceway.transfer.digest import ALGORITHMS, normalise

# Asks for the digest that is computed anyway (RFC 9530, 4: preference 1 to 10).
WANT_REPR_DIGEST = "sha-256=10"
# Of a file that is to move in segments: one that can be put together from theirs.
WANT_COMBINABLE = "crc32c=10"

# Names in Repr-Digest and Digest, in lower case (IANA, "Hash Algorithms for HTTP Digest Fields").
_HTTP_NAMES = {
    "sha-256": "sha256", "sha-512": "sha512", "sha": "sha1", "md5": "md5", "crc32c": "crc32c",
    "id-sha-256": "sha256", "id-sha-512": "sha512",
}  # fmt: skip
_GOOGLE_NAMES = {"crc32c": "crc32c", "md5": "md5"}
_AMAZON = "x-amz-checksum-"


def stated_digests(headers: Mapping[str, str]) -> dict[str, str]:
    """Algorithm -> lower-case hex of the bytes as they are sent, from the headers of a status 200 (names in any case).
    Raises DigestMismatchError when two of them, or two lines of one, state different values for one algorithm."""
    # Asked for by name, urllib3's headers are all lines of a name, as one list; its items would be a line each.
    lower = {name.lower(): headers[name] for name in headers}
    found: dict[str, tuple[str, str]] = {}
    for header, algorithm, text in _claims(lower):
        try:
            value = normalise(algorithm, text)
        except ValueError:
            continue
        before_value, before_header = found.setdefault(algorithm, (value, header))
        if before_value != value:
            raise DigestMismatchError(
                f"the source states two values of {algorithm}: {before_value} in {before_header}, {value} in {header}"
            )
    return {algorithm: value for algorithm, (value, _) in found.items()}


def _claims(headers: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(header, algorithm, value) of everything stated."""
    encoding = _encoding(headers.get("content-encoding"))
    for header in ("repr-digest", "digest"):
        for name, value in _pairs(headers.get(header, "")):
            # id-… digests are taken before any content coding; what is stored is what was sent.
            if name in _HTTP_NAMES and not (name.startswith("id-") and encoding != "identity"):
                yield header, _HTTP_NAMES[name], value
    for value in _items(headers.get("content-md5", "")):
        yield "content-md5", "md5", value
    # Google decompresses what was stored as gzip when asked for identity; its hashes stay those of the stored bytes.
    if _encoding(headers.get("x-goog-stored-content-encoding")) == encoding:
        for name, value in _pairs(headers.get("x-goog-hash", "")):
            if name in _GOOGLE_NAMES:
                yield "x-goog-hash", _GOOGLE_NAMES[name], value
    # COMPOSITE ones are digests of the parts' digests.
    if set(_items(headers.get("x-amz-checksum-type", "").upper())) == {"FULL_OBJECT"}:
        for algorithm in ALGORITHMS:
            for value in _items(headers.get(_AMAZON + algorithm, "")):
                yield _AMAZON + algorithm, algorithm, value


def _items(text: str) -> list[str]:
    """What stands in a list, or in the lines of a repeated header."""
    return [item.strip() for item in text.split(",")] if text else []


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """`name=value` of a list; parameters (RFC 8941, 3.1.2) are left out, colons of RFC 9530's byte sequences and quotes
    are taken off the value."""
    for item in _items(text):
        name, equals, value = item.partition(";")[0].partition("=")
        if equals:
            yield name.strip().lower(), value.strip().strip(':"')


def _encoding(text: str | None) -> str:
    return (text or "identity").strip().lower()
