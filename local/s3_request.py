"""An S3 request taken apart, and what its headers say of the object to be written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from local.http import Request
from local.s3_errors import S3Error
from local.s3_store import Conditions

MAX_METADATA_BYTES = 2048  # S3 user guide, "user-defined object metadata"
_KEPT = (
    "content-type", "cache-control", "content-disposition", "content-language", "expires",
    "x-amz-storage-class", "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-website-redirect-location",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """`bucket` and `key` decoded, empty when absent; header names in lower case."""

    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    request: Request


@dataclass(frozen=True, slots=True)
class About:
    """Response headers to keep with the object, and its tags."""

    headers: dict[str, str]
    tags: dict[str, str]


def whole_number(text: str, refusal: str) -> int:
    """Raises S3Error InvalidArgument with `refusal` for what is none, or has more digits than any number of S3."""
    if not re.fullmatch(r"[0-9]{1,19}", text):
        raise S3Error("InvalidArgument", refusal)
    return int(text)


def described(headers: Mapping[str, str]) -> About:
    """Raises S3Error MetadataTooLarge."""
    kept = {name: headers[name] for name in _KEPT if name in headers}
    kept.setdefault("x-amz-server-side-encryption", "AES256")
    if kept.get("x-amz-storage-class") == "STANDARD":
        del kept["x-amz-storage-class"]
    codings = [coding.strip() for coding in headers.get("content-encoding", "").split(",")]
    codings = [coding for coding in codings if coding not in ("", "aws-chunked")]
    if codings:
        kept["content-encoding"] = ",".join(codings)
    own = {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
    size = sum(len(name) - len("x-amz-meta-") + len(value) for name, value in own.items())
    if size > MAX_METADATA_BYTES:
        raise S3Error("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
    return About(kept | own, dict(parse_qsl(headers.get("x-amz-tagging", ""), keep_blank_values=True)))


def conditions_of(headers: Mapping[str, str]) -> Conditions:
    """Raises S3Error NotImplemented for an If-None-Match other than "*", as S3 does on writes."""
    none_match = headers.get("if-none-match")
    if none_match not in (None, "*"):
        raise S3Error("NotImplemented", "A header you provided implies functionality that is not implemented")
    match = headers.get("if-match")
    return Conditions(none_match, match.strip('"') if match is not None else None)
