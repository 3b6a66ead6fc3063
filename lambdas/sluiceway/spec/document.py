"""The job document as users write it: every field, its type and its bounds.

Knows what makes a document valid. Refuses to know defaults that belong to a deployment: where a field is None the
settings decide. Unknown fields are mistakes, for a misspelt limit is one that does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from sluiceway.errors import FieldError, InvalidJobError
from sluiceway.jobs.fields import NAMES
from sluiceway.jobs.files import ATTEMPT_METADATA, KEPT_METADATA_BYTES, MAX_METADATA_BYTES
from sluiceway.spec.auth import Strict
from sluiceway.spec.entries import MAX_NUMBER, FileEntry, check_bucket, check_key, fill_fields, key_of_entry
from sluiceway.spec.fhir_source import FhirBulkSource
from sluiceway.spec.http_source import HttpSource
from sluiceway.spec.links import check_url, refuse_user_info
from sluiceway.spec.mistakes import MAX_MISTAKES, expected, found, mistakes_of, unquoted

# The id is part of keys in S3 and the table, and of execution names.
JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
METADATA_NAME = re.compile(r"-*[A-Za-z0-9][A-Za-z0-9-]*")
# S3 User Guide: 10 tags an object, keys of 128 and values of 256 characters.
MAX_TAGS = 10
MAX_JOB_METADATA_BYTES = MAX_METADATA_BYTES - KEPT_METADATA_BYTES
# Step Functions: a Distributed Map runs at most 10,000 children at once; an execution lasts at most a year.
MAX_CONCURRENCY = 10_000
# Deeper than any job, and far from where Python gives up.
MAX_DEPTH = 64
# Each of them is a row that is read by whoever waits for a free one.
MAX_PER_HOST = 100
MAX_DEADLINE_MINUTES = 365 * 24 * 60

StorageClass = Literal[
    "STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE",
]  # fmt: skip
Format = Literal["jsonl", "json", "csv", "urls", "tsv"]


def _without_access(file: FileEntry) -> FileEntry:
    """`access` stands for another job's credentials, so it is taken only from a list kept where that job's own lies."""
    if file.access is not None:
        raise expected("it only in a list kept in S3, as failed.jsonl is", at="access", found="it in the job itself")
    return file


class UrlsSource(Strict):
    """Files listed in the document itself; an entry may be a URL alone."""

    type: Literal["urls"]
    files: list[Annotated[FileEntry, AfterValidator(_without_access)]]


class ManifestSource(Strict):
    """A list of files kept elsewhere: `s3://bucket/key`, an `https://` URL, or a path, which only the command can
    read. `format` is told from the content where it is absent. `headers_secret` names the headers to fetch it with."""

    type: Literal["manifest"]
    location: Annotated[str, Field(min_length=1)]
    format: Format | None = None
    headers_secret: Annotated[str, Field(min_length=1, max_length=512)] | None = None

    @field_validator("location")
    @classmethod
    def _check_location(cls, location: str) -> str:
        return check_url(location) if location.startswith(("https://", "http://")) else refuse_user_info(location)


class Destination(Strict):
    """Where files go. `bucket` None is the deployment's landing bucket; `prefix` leads every key and may hold the
    fields of jobs/fields.py; `storage_class` None leaves it to the bucket."""

    bucket: str | None = None
    prefix: str = ""
    if_exists: Literal["overwrite", "never", "skip-unchanged"] = "overwrite"
    storage_class: StorageClass | None = None
    kms_key_id: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    tags: Annotated[dict[str, str], Field(max_length=MAX_TAGS)] = {}
    metadata: dict[str, str] = {}

    @field_validator("bucket")
    @classmethod
    def _check_bucket(cls, bucket: str | None) -> str | None:
        return bucket if bucket is None else check_bucket(bucket)

    @field_validator("prefix")
    @classmethod
    def _check_prefix(cls, prefix: str) -> str:
        check_key(fill_fields(prefix, dict.fromkeys(NAMES, "x")) + "x")
        return prefix

    @field_validator("tags")
    @classmethod
    def _check_tags(cls, tags: dict[str, str]) -> dict[str, str]:
        for name, value in tags.items():
            if not 1 <= len(name) <= 128:
                raise expected("names of 1 to 128 characters", found=found(name))
            if len(value) > 256:
                raise expected("at most 256 characters", at=name, found=found(value))
        return tags

    @field_validator("metadata")
    @classmethod
    def _check_metadata(cls, metadata: dict[str, str]) -> dict[str, str]:
        lower: dict[str, str] = {}
        for name, value in metadata.items():
            if not METADATA_NAME.fullmatch(name):
                raise expected("names of letters, digits and '-'", found=found(name))
            if name.lower() in (ATTEMPT_METADATA, *lower):
                raise expected(f"names other than {ATTEMPT_METADATA}, each once in whatever case", found=found(name))
            if not value.isascii() or not value.isprintable():
                raise expected("printable ASCII", at=name, found=found(value))
            # S3 keeps them so, and signs them as headers, whose names have no case.
            lower[name.lower()] = value
        size = sum(len(name) + len(value) for name, value in lower.items())
        if size > MAX_JOB_METADATA_BYTES:
            raise expected(f"at most {MAX_JOB_METADATA_BYTES} bytes of names and values", found=f"{size}")
        return lower


class Limits(Strict):
    """`max_file_bytes` None is the deployment's; `max_concurrency` counts functions at once and the deployment's own
    figure caps it; `failed_files_percent` is of all files, None being 100, or 0 for a job that commits all or nothing
    and states no `failed_files`, the limit by number; the deadline counts from the job's start."""

    max_file_bytes: Annotated[int, Field(ge=1, le=MAX_NUMBER)] | None = None
    max_concurrency: Annotated[int, Field(ge=1, le=MAX_CONCURRENCY)] | None = None
    max_concurrency_per_host: Annotated[int, Field(ge=1, le=MAX_PER_HOST)] | None = None
    failed_files_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    failed_files: Annotated[int, Field(ge=0, le=MAX_NUMBER)] | None = None
    deadline_minutes: Annotated[float, Field(gt=0, le=MAX_DEADLINE_MINUTES)] = 720


class Job(Strict):
    """A valid job document."""

    job_id: str
    source: Annotated[UrlsSource | ManifestSource | HttpSource | FhirBulkSource, Field(discriminator="type")]
    destination: Destination = Destination()
    limits: Limits = Limits()
    commit: Literal["per-file", "all-or-nothing"] = "per-file"
    split: Literal["crc"] | None = None
    task_token: Annotated[str, Field(min_length=1, max_length=2048)] | None = None

    @field_validator("job_id", mode="before")
    @classmethod
    def _check_id(cls, job_id: Any) -> Any:
        if not is_job_id(job_id):
            text = "1 to 80 of letters, digits, '.', '_' and '-', the first a letter or digit"
            raise expected(text, found=unquoted(job_id))
        return job_id


def is_job_id(value: Any) -> bool:
    return isinstance(value, str) and JOB_ID.fullmatch(value) is not None


def load_job(document: Any, default_job_id: str) -> Job:
    """The job that a parsed document describes; one without `job_id` gets the default. Raises InvalidJobError naming
    every wrong field by its path, as `source.files[3].url`."""
    if not isinstance(document, Mapping):
        raise InvalidJobError([FieldError("job", found(document), "an object")])
    if _is_deeper(document, MAX_DEPTH):
        raise InvalidJobError([FieldError("job", "more", f"at most {MAX_DEPTH} levels of nesting")])
    try:
        return Job.model_validate({"job_id": default_job_id, **document})
    except ValidationError as error:
        mistakes = mistakes_of(error, Job)
    # Keys are judged with their prefix once a job is valid: where it is not, now, so that all is told at once.
    raise InvalidJobError((mistakes + _wrong_keys(document))[:MAX_MISTAKES])


def _wrong_keys(document: Mapping[str, Any]) -> list[FieldError]:
    """The mistakes in the keys of files that stand in a document whose other fields may be wrong."""
    source, destination = document.get("source"), document.get("destination")
    files = source.get("files") if isinstance(source, Mapping) and source.get("type") == "urls" else None
    prefix = destination.get("prefix") if isinstance(destination, Mapping) else None
    fields = dict.fromkeys(NAMES, "x")
    try:
        prefix = fill_fields(prefix, fields) if isinstance(prefix, str) else ""
        check_key(prefix + "x")
    except PydanticCustomError:
        prefix = ""
    keys = (
        key_of_entry(file, f"source.files[{n}]", prefix=prefix, fields=fields)
        for n, file in enumerate(files if isinstance(files, list) else ())
    )
    return [key for key in keys if isinstance(key, FieldError)]


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether objects and lists stand in one another more than `levels` deep; one that holds itself does."""
    layer, depth = [value], 0
    while layer and depth <= levels:
        inner = (each.values() if isinstance(each, Mapping) else each for each in layer)
        # Each once: an alias of YAML stands for the same object wherever it is.
        layer = list({id(each): each for held in inner for each in held if isinstance(each, Mapping | list)}.values())
        depth += 1
    return depth > levels
