"""One entry of a list of files, as users and manifests write it, and the task it becomes.

Knows the rules for URLs, keys, sizes and digests. Refuses to know where the list came from: `Entry.where` says.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from sluiceway.errors import DuplicateTargetError, FieldError, InvalidJobError
from sluiceway.jobs import fields as key_fields
from sluiceway.jobs.files import FileTask
from sluiceway.redact import redact_url
from sluiceway.spec.links import check_url, has_user_info, without_user_info
from sluiceway.spec.mistakes import MAX_MISTAKES, expected, found, mistakes_of, path_of
from sluiceway.transfer.digest import ALGORITHMS, ROWS, normalise

# S3 User Guide, "Creating object key names": at most 1,024 bytes of UTF-8.
MAX_KEY_BYTES = 1024
# What eight bytes hold; no store has an object as large.
MAX_NUMBER = 2**63 - 1
# S3 User Guide, "General purpose bucket naming rules", without the rarities.
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# The key of an object that exports/access.py reads.
ACCESS = re.compile(r"jobs/[A-Za-z0-9][A-Za-z0-9._-]{0,79}/access-[0-9a-f]{16}\.json")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry not yet checked. `raw` is a mapping, a URL alone, or a FileEntry; `where` is its place, as
    `source.files[3]` or `list.csv line 4`; `mistake` is set instead of `raw` where the place could not be read. In a
    `literal` one no user wrote the key: braces in it are braces. `access` is the key of the object that says how the
    file is asked for, `rows` how many lines it must have; only sources that are no lists of a user's set them."""

    raw: Any
    where: str
    mistake: FieldError | None = None
    literal: bool = False
    access: str | None = None
    rows: int | None = None


class FileEntry(BaseModel):
    """A file as a user lists it. `size` is in bytes; digests are hex or base64; `rows` are the lines it must have;
    `headers_secret` names a secret that holds the headers to ask for the file with. `access` is what failed.jsonl says
    of a file of an export API: where the jobs bucket tells how it is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    url: str
    key: str | None = None
    bucket: str | None = None
    size: Annotated[int, Field(ge=0, le=MAX_NUMBER)] | None = None
    md5: str | None = None
    sha1: str | None = None
    sha256: str | None = None
    sha512: str | None = None
    crc32: str | None = None
    crc32c: str | None = None
    crc64nvme: str | None = None
    rows: Annotated[int, Field(ge=0, le=MAX_NUMBER)] | None = None
    headers_secret: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    split: Literal["crc"] | None = None
    access: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _url_alone(cls, raw: Any) -> Any:
        return {"url": raw} if isinstance(raw, str) else raw

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        return check_url(url)

    @field_validator("bucket")
    @classmethod
    def _check_bucket(cls, bucket: str | None) -> str | None:
        return bucket if bucket is None else check_bucket(bucket)

    @field_validator("access")
    @classmethod
    def _check_access(cls, access: str | None) -> str | None:
        if access is not None and not ACCESS.fullmatch(access):
            raise expected("what a line of failed.jsonl says: jobs/JOB_ID/access-….json")
        return access

    @field_validator(*ALGORITHMS)
    @classmethod
    def _check_digest(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        try:
            return normalise(str(info.field_name), value)
        except ValueError:
            raise expected(f"hex or base64 of {ALGORITHMS[str(info.field_name)]} bytes") from None

    @property
    def digests(self) -> dict[str, str]:
        stated = {name: getattr(self, name) for name in ALGORITHMS}
        return {name: value for name, value in stated.items() if value is not None}


def check_bucket(bucket: str) -> str:
    if not BUCKET.fullmatch(bucket) or ".." in bucket:
        raise expected("the name of a bucket: 3 to 63 of a-z, 0-9, '-' and '.'")
    return bucket


def key_of_url(url: str) -> str:
    """The decoded path without its leading slash. Raises the expectation it fails."""
    try:
        return unquote(urlsplit(url).path, errors="strict").removeprefix("/")
    except UnicodeDecodeError:
        raise expected("a key, for the URL's path is not UTF-8") from None


def check_key(key: str) -> str:
    """A key that is a safe relative path as well as a name in S3. Raises the expectation it fails."""
    segments = key.split("/")
    if not key:
        raise expected("a key that is not empty")
    if "." in segments or ".." in segments:
        raise expected("a key without '.' and '..' segments")
    if "" in segments:
        raise expected("a key without empty segments: no leading, trailing or double slash")
    kinds = set() if key.isprintable() else {unicodedata.category(char) for char in key}
    if "Cc" in kinds:
        raise expected("a key without control characters")
    if "Cs" in kinds:
        raise expected("a key without half a surrogate pair, which is no character")
    if len(key.encode()) > MAX_KEY_BYTES:
        raise expected(f"a key of at most {MAX_KEY_BYTES} bytes, the prefix included")
    return key


def fill_fields(text: str, fields: Mapping[str, str]) -> str:
    """Raises the expectation that the text's fields fail."""
    try:
        return key_fields.fill(text, fields)
    except key_fields.FieldNameError:
        raise expected(key_fields.EXPECTED) from None


def to_task(entry: Entry, *, n: int, bucket: str, prefix: str, fields: Mapping[str, str]) -> FileTask:
    """The task of an entry; `bucket` is where files go that name none, `prefix` leads every key as it stands, `fields`
    are what the key's own are filled with. Raises InvalidJobError with the mistakes of this entry."""
    if entry.mistake is not None:
        raise InvalidJobError([entry.mistake])
    file, mistakes = _checked(entry)
    own_fields = None if entry.literal else fields
    key = key_of_entry(file or entry.raw, entry.where, prefix=prefix, fields=own_fields)
    if isinstance(key, FieldError):
        mistakes.append(key)
    if file is None or not isinstance(key, str):
        raise InvalidJobError(mistakes)
    task = FileTask(file.url, file.bucket or bucket, key, file.size, file.digests, file.headers_secret, file.split, n)
    rows = file.rows if entry.rows is None else entry.rows
    if rows is not None:
        task = replace(task, digests={**task.digests, ROWS: str(rows)})
    return replace(task, access=entry.access or file.access)


def _checked(entry: Entry) -> tuple[FileEntry | None, list[FieldError]]:
    try:
        return FileEntry.model_validate(entry.raw), []
    except ValidationError as error:
        return None, mistakes_of(error, FileEntry, entry.where)


def key_of_entry(raw: Any, where: str, *, prefix: str, fields: Mapping[str, str] | None) -> str | FieldError | None:
    """The whole key of an entry, whose other fields may be wrong, or what is wrong with it; None where its URL, or the
    kind of its key, is. `fields` None leaves braces as they are."""
    url: Any
    key: Any
    url, key = (raw.get("url"), raw.get("key")) if isinstance(raw, Mapping) else (raw, None)
    if isinstance(raw, FileEntry):
        url, key = raw.url, raw.key
    elif not isinstance(key, str | None) or (key is None and not _is_url(url)):
        return None
    try:
        if key is None:
            return check_key(prefix + key_of_url(url))
        return check_key(prefix + (key if fields is None else fill_fields(key, fields)))
    except PydanticCustomError as error:
        shown = "nothing" if key is None else found(key)
        return FieldError(path_of(("key",), where), shown, error.message())


def _is_url(url: Any) -> bool:
    try:
        return isinstance(url, str) and bool(check_url(url))
    except PydanticCustomError:
        return False


def without_credentials(entry: Entry) -> Entry:
    """An entry of a list that no user of ours wrote: of a user or password in its URL only that there was one."""
    raw = entry.raw
    url = raw.get("url") if isinstance(raw, Mapping) else raw
    if not isinstance(url, str) or not has_user_info(url):
        return entry
    hidden = without_user_info(url)
    return replace(entry, raw={**raw, "url": hidden} if isinstance(raw, Mapping) else hidden)


def read_tasks(
    entries: Iterable[Entry], *, bucket: str, prefix: str = "", fields: Mapping[str, str] | None = None
) -> Iterator[FileTask]:
    """The tasks of a list, one at a time. Past the first mistake no more tasks come; the mistakes of the whole list
    (the first hundred) are gathered and raised as one InvalidJobError."""
    mistakes: list[FieldError] = []
    yield from read_more(entries, 0, mistakes, bucket=bucket, prefix=prefix, fields=fields)
    if mistakes:
        raise InvalidJobError(mistakes)


def read_more(
    entries: Iterable[Entry],
    first: int,
    mistakes: list[FieldError],
    *,
    bucket: str,
    prefix: str = "",
    fields: Mapping[str, str] | None = None,
) -> Iterator[FileTask]:
    """The tasks of a piece of a list whose first entry is number `first`. Gathers into `mistakes`, up to a hundred of
    the whole list; while it holds any, no task comes, and once it is full no entry is read."""
    for n, entry in enumerate(entries, start=first):
        try:
            task = to_task(entry, n=n, bucket=bucket, prefix=prefix, fields=fields or {})
        except InvalidJobError as error:
            mistakes += error.mistakes[: MAX_MISTAKES - len(mistakes)]
            if len(mistakes) >= MAX_MISTAKES:
                return
            continue
        if not mistakes:
            yield task


def refuse_duplicates(tasks: Iterable[FileTask], entries: Callable[[], Iterable[Entry]]) -> Iterator[FileTask]:
    """Passes tasks on until one has a target already taken. Then the rest is only looked at, for what is wrong with a
    single entry is told before; at the end comes a DuplicateTargetError with each such pair, up to a hundred. Keeps 16
    bytes a task and no URL; `entries` reads the list anew, to find both."""
    seen: dict[bytes, int] = {}
    twice: list[tuple[int, int, str, str]] = []
    for task in tasks:
        # An empty segment or NUL cannot be in either part, so the pair has one spelling.
        target = hashlib.sha256(f"{task.bucket}\0{task.key}".encode()).digest()[:16]
        first = seen.setdefault(target, task.n)
        if first != task.n and len(twice) < MAX_MISTAKES:
            twice.append((first, task.n, task.bucket, task.key))
        if not twice:
            yield task
    if twice:
        wanted = {n for pair in twice for n in pair[:2]}
        same = {n: entry for n, entry in enumerate(entries()) if n in wanted}
        files = {n: (FileEntry.model_validate(entry.raw).url, entry.where) for n, entry in same.items()}
        raise DuplicateTargetError([same_target(bucket, key, files[a], files[b]) for a, b, bucket, key in twice])


def same_target(bucket: str, key: str, *files: tuple[str, str]) -> str:
    """What is told of two files with one target: `files` are the URL of each and its place in the list; `bucket` is
    empty where the deployment's own is meant."""
    target = f"s3://{bucket}/{key}" if bucket else f"{key!r} in the landing bucket"
    shown = " and ".join(f"{redact_url(url)} ({where})" for url, where in files)
    return f"two files would land at {target}: {shown}; give each a key of its own"
