"""The job document as users write it: every field, its type and its bounds.

Knows what makes a document valid. Refuses to know defaults that belong to a deployment: where a field is None the
settings decide. Unknown fields are mistakes, for a misspelt limit is one that does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sluiceway.errors import FieldError, InvalidJobError
from sluiceway.jobs.fields import NAMES
from sluiceway.spec.entries import FileEntry, check_bucket, check_key, fill_fields
from sluiceway.spec.fhir_source import FhirBulkSource
from sluiceway.spec.http_source import HttpSource
from sluiceway.spec.mistakes import expected, found, mistakes_of

# The id is part of keys in S3 and the table, and of execution names.
JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
# S3 User Guide: 10 tags an object, keys of 128 and values of 256 characters.
MAX_TAGS = 10
# Step Functions: a Distributed Map runs at most 10,000 children at once; an execution lasts at most a year.
MAX_CONCURRENCY = 10_000
# Each of them is a row that is tried for a free one.
MAX_PER_HOST = 100
MAX_DEADLINE_MINUTES = 365 * 24 * 60

StorageClass = Literal[
    "STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE",
]  # fmt: skip
Format = Literal["jsonl", "json", "csv", "urls", "tsv"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class UrlsSource(Strict):
    """Files listed in the document itself; an entry may be a URL alone."""

    type: Literal["urls"]
    files: list[FileEntry]


class ManifestSource(Strict):
    """A list of files kept elsewhere: `s3://bucket/key`, an `https://` URL, or a path, which only the command can
    read. `format` is told from the content where it is absent. `headers_secret` names the headers to fetch it with."""

    type: Literal["manifest"]
    location: Annotated[str, Field(min_length=1)]
    format: Format | None = None
    headers_secret: Annotated[str, Field(min_length=1, max_length=512)] | None = None


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
        if not all(1 <= len(name) <= 128 and len(value) <= 256 for name, value in tags.items()):
            raise expected("tags with names of 1 to 128 and values of at most 256 characters")
        return tags

    @field_validator("metadata")
    @classmethod
    def _check_metadata(cls, metadata: dict[str, str]) -> dict[str, str]:
        for name, value in metadata.items():
            if not name.replace("-", "").isalnum() or not (name + value).isascii() or not value.isprintable():
                raise expected("metadata of letters, digits and '-' in names, and printable ASCII in values")
        return metadata


class Limits(Strict):
    """`max_file_bytes` None is the deployment's; `max_concurrency` counts functions at once and the deployment's own
    figure caps it; `failed_files_percent` is of all files, None
    being 100, or 0 for a job that commits all or nothing; the deadline counts from the job's start."""

    max_file_bytes: Annotated[int, Field(ge=1)] | None = None
    max_concurrency: Annotated[int, Field(ge=1, le=MAX_CONCURRENCY)] | None = None
    max_concurrency_per_host: Annotated[int, Field(ge=1, le=MAX_PER_HOST)] | None = None
    failed_files_percent: Annotated[float, Field(ge=0, le=100)] | None = None
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
            raise expected("1 to 80 of letters, digits, '.', '_' and '-', the first a letter or digit")
        return job_id


def is_job_id(value: Any) -> bool:
    return isinstance(value, str) and JOB_ID.fullmatch(value) is not None


def load_job(document: Any, default_job_id: str) -> Job:
    """The job that a parsed document describes; one without `job_id` gets the default. Raises InvalidJobError naming
    every wrong field by its path, as `source.files[3].url`."""
    if not isinstance(document, Mapping):
        raise InvalidJobError([FieldError("job", found(document), "an object")])
    try:
        return Job.model_validate({"job_id": default_job_id, **document})
    except ValidationError as error:
        raise InvalidJobError(mistakes_of(error)) from None
