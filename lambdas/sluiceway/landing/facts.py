"""What an object carries besides its bytes: what the job asked for and what the source said about the file.

Knows S3's names for these facts and the limit on metadata. Refuses to know when and how the object is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from sluiceway.jobs.files import KEPT_METADATA_BYTES, MAX_METADATA_BYTES, FileResult, FileTask
from sluiceway.redact import redact_url
from sluiceway.sink.existing import Existing
from sluiceway.sink.upload import Target

if TYPE_CHECKING:
    from sluiceway.landing.options import Options

MAX_HEADER_CHARS = 1024
# S3 User Guide, "Categorizing your storage using tags": ten an object.
MAX_TAGS = 10
DEFAULT_CONTENT_TYPE = "application/octet-stream"
_FILE_NAME = re.compile(r'filename="?([^";]+)"?', re.IGNORECASE)
# Not codings of the stored bytes: "no coding", and S3's own framing, which some stores report back.
_NO_CODINGS = frozenset({"", "identity", "aws-chunked"})


def target_of(
    task: FileTask,
    options: Options,
    headers: Mapping[str, str],
    checksum_name: str | None,
    stated: Mapping[str, str] | None = None,
) -> Target:
    """The object to be. `headers` are those of the source's reply (names in any case), `stated` its digests."""
    # Of a header that may stand once, but does twice, the last line; codings are a list, in one line or several.
    lower = {name.lower(): value for name, value in headers.items()}
    codings = ",".join(value for name, value in headers.items() if name.lower() == "content-encoding")
    extra: dict[str, Any] = {"ContentType": _printable(lower.get("content-type", "")) or DEFAULT_CONTENT_TYPE}
    if coding := _coding(codings):
        extra["ContentEncoding"] = coding
    if disposition := _disposition(lower.get("content-disposition", "")):
        extra["ContentDisposition"] = disposition
    if options.storage_class:
        extra["StorageClass"] = options.storage_class
    if options.kms_key_id:
        extra |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": options.kms_key_id}
    if options.tags:
        extra["Tagging"] = urlencode(options.tags, quote_via=quote)
    condition = {"IfNoneMatch": "*"} if options.if_exists == "never" else {}
    metadata = metadata_of(task, options, lower, stated or {})
    return Target(task.bucket, task.key, extra, metadata, condition, checksum_name)


def metadata_of(
    task: FileTask, options: Options, headers: Mapping[str, str], stated: Mapping[str, str]
) -> dict[str, str]:
    """The job's own metadata, then ours, the most useful first, as far as S3's 2 KB reach: a fact that does not fit is
    left out whole. `headers` have lower-case names."""
    # A digest stated beforehand has agreed with the bytes by the time the object is visible.
    known = {**stated, **task.digests}
    ours = {
        "sha256": known.get("sha256", ""),
        "source-etag": headers.get("etag", ""),
        "source-last-modified": headers.get("last-modified", ""),
        "source-url": source_url(task),
        "mtime": _seconds(headers.get("last-modified", "")),
        "job-id": options.job_id or "",
        **task.digests,
    }
    found = dict(options.metadata)
    room = MAX_METADATA_BYTES - KEPT_METADATA_BYTES - sum(len(name) + len(value) for name, value in found.items())
    for name, value in ours.items():
        if name in found or not _printable(value):
            continue
        room -= 0 if name == "sha256" else len(name) + len(value)
        if room < 0:
            break
        found[name] = value
    return found


def late_tags(options: Options, result: FileResult) -> dict[str, str] | None:
    """The tags of an object sent in parts, its SHA-256 among them. None where that is metadata, as one that was stated
    before the upload began, or where the job's own tags leave no room."""
    stated = any(name.endswith(":sha256") for name in result.verified_by)
    if stated or "sha256" not in result.digests or len(options.tags) >= MAX_TAGS:
        return None
    return {**options.tags, "sha256": result.digests["sha256"]}


def source_url(task: FileTask) -> str:
    """The redacted URL in ASCII, as it stands in metadata."""
    return quote(redact_url(task.url), safe=":/?&=%~!*'()@$,;+[]")


def conditions_of(task: FileTask, existing: Existing) -> dict[str, str]:
    """The headers that ask the source for the file only where it is not the one landed last; empty where the object
    does not tell, came from another URL, or is not what the caller states."""
    kept = existing.metadata
    wanted = all(kept.get(name) == value for name, value in task.digests.items())
    if kept.get("source-url") != source_url(task) or not wanted or task.size not in (None, existing.size):
        return {}
    if etag := kept.get("source-etag"):
        return {"If-None-Match": etag}
    # A query may choose among files, and the redacted URL does not show it: a date alone could be another's.
    if (date := kept.get("source-last-modified")) and "?" not in task.url:
        return {"If-Modified-Since": date}
    return {}


def _coding(text: str) -> str:
    return ", ".join(each for part in text.split(",") if (each := _printable(part.strip())).lower() not in _NO_CODINGS)


def _disposition(text: str) -> str:
    """Content-Disposition as S3 can carry it: as it came when it is ASCII, else its file name in the form of RFC 5987
    (http.client decodes headers as Latin-1; names are commonly sent as bare UTF-8)."""
    if not text or _printable(text):
        return text
    match = _FILE_NAME.search(text)
    if match is None:
        return ""
    try:
        name = match[1].encode("latin-1").decode()
    except (UnicodeEncodeError, UnicodeDecodeError):
        name = match[1]
    return _printable(f"attachment; filename*=UTF-8''{quote(name, safe='')}")


def _printable(text: str) -> str:
    """The text when S3 takes it as a header's value, else nothing."""
    return text if text.isascii() and text.isprintable() and len(text) <= MAX_HEADER_CHARS else ""


def _seconds(last_modified: str) -> str:
    """`mtime` in seconds since 1970, the form rclone reads."""
    try:
        return str(int(parsedate_to_datetime(last_modified).timestamp()))
    except (TypeError, ValueError, OverflowError):
        return ""
