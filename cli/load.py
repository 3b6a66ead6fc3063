"""Reads what `sluiceway run` was given, a job or a bare list of files, and checks all of it.

Knows which of the two a file is, and which list of files lies on this machine.
Refuses to know what is valid: sluiceway.spec says, and the same code says it again where the job runs.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.parsing import parse_json, parse_yaml
from sluiceway.errors import FieldError, InvalidJobError
from sluiceway.exports import manifest as manifests
from sluiceway.exports import urls
from sluiceway.jobs.fields import fill, values_of
from sluiceway.jobs.files import FileTask
from sluiceway.spec import Entry, Job, load_job, read_tasks, refuse_duplicates
from sluiceway.spec.document import ManifestSource, UrlsSource
from sluiceway.spec.mistakes import found

# A first line longer than this is a job written on one line, not an entry.
DETECT_BYTES = 64 * 1024
YAML_SUFFIXES = frozenset({".yaml", ".yml"})
# Of a job's id: without letters that are taken for digits. Six make a thousand million.
ID_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
ID_RANDOM = 6
# Of a path, in a message: what is much longer is seldom one.
SHOWN_PATH_CHARS = 300


@dataclass(frozen=True, slots=True)
class Loaded:
    """A job that was found valid: its `document` as it was written, and the `job` that this describes. `manifest` is
    its list of files where that lies on this machine; `buckets` are those its files name, as far as the list can be
    read here."""

    document: Mapping[str, Any]
    job: Job
    manifest: Path | None
    buckets: frozenset[str]

    @property
    def job_id(self) -> str:
        return self.job.job_id

    @property
    def is_listed_here(self) -> bool:
        """Whether its list of files can be read before it runs."""
        return isinstance(self.job.source, UrlsSource) or self.manifest is not None

    def tasks(self) -> Iterator[FileTask]:
        """Its files, as far as the list can be read here; one after the other, for there may be many."""
        job = self.job
        # What the fields stand for is settled where the job starts; whether they are fields shows with any moment.
        fields = values_of(job.job_id, datetime.now(UTC).isoformat())
        entries, bucket = _entries(job, self.manifest), job.destination.bucket or ""
        return read_tasks(entries, bucket=bucket, prefix=fill(job.destination.prefix, fields), fields=fields)


def load(text: str, *, job_id: str | None = None, now: datetime | None = None) -> Loaded:
    """`text` is the path of a job or a manifest, or the address of a manifest; `job_id` replaces the job's own. Raises
    InvalidJobError naming each wrong field, or the file that cannot be read, DuplicateTargetError naming both files of
    each pair."""
    try:
        return _loaded(text, {} if job_id is None else {"job_id": job_id}, now)
    except OSError as error:
        raise _unreadable(text, error) from error


def _loaded(text: str, own: Mapping[str, Any], now: datetime | None) -> Loaded:
    if "\n" in text:
        raise InvalidJobError([FieldError("JOB", "several lines", "the path or address of a file, not what it holds")])
    if "://" in text:
        return _checked({"source": {"type": "manifest", "location": text}, **own}, _job_id(text, now), Path())
    path = Path(text)
    if not path.is_file():
        raise InvalidJobError([FieldError("JOB", *_no_file(text))])
    return _checked({**_document(path), **own}, _job_id(path.stem, now), path.parent)


def _checked(document: Mapping[str, Any], default_job_id: str, folder: Path) -> Loaded:
    document = {"job_id": default_job_id, **document}
    job = load_job(document, default_job_id)
    loaded = Loaded(document, job, _local_manifest(job, folder), frozenset())
    tasks = refuse_duplicates(loaded.tasks(), lambda: _entries(job, loaded.manifest))
    buckets = {task.bucket for task in tasks} | {job.destination.bucket or ""}
    return replace(loaded, buckets=frozenset(buckets - {""}))


def _entries(job: Job, manifest: Path | None) -> Iterator[Entry]:
    """The entries that can be read before the job runs."""
    if isinstance(job.source, UrlsSource):
        return urls.entries(job.source)
    if isinstance(job.source, ManifestSource) and manifest is not None:
        return manifests.file_entries(manifest, job.source.format)
    return iter(())


def _local_manifest(job: Job, folder: Path) -> Path | None:
    if not isinstance(job.source, ManifestSource) or manifests.is_remote(job.source.location):
        return None
    path = folder / job.source.location
    if not path.is_file():
        raise InvalidJobError([FieldError("source.location", *_no_file(job.source.location, folder))])
    return path


def _no_file(text: str, folder: Path = Path()) -> tuple[str, str]:
    """What was found in the place of a file, and what was expected there."""
    path, shown = folder / text, _shown(text)
    if text == "-" or path.is_relative_to("/dev") or path.is_relative_to("/proc"):
        return shown, "a regular file: stdin and pipes are not read, so write what they say to one"
    if path.is_dir():
        return f"the folder {shown}", "a regular file"
    if path.exists():
        return f"{shown}, which is none", "a regular file"
    return shown, "a file that exists"


def _unreadable(text: str, error: OSError) -> InvalidJobError:
    """The file is JOB itself or the list that it names; what breaks off while it is read has no name."""
    name = str(error.filename or text)
    place = "JOB" if Path(name) == Path(text) else "source.location"
    return InvalidJobError([FieldError(place, f"{_shown(name)} ({error.strerror})", "a file that can be read")])


def _shown(text: str) -> str:
    """A path, as far as a line has room for it; a link without its secrets."""
    if "://" in text:
        return found(text)
    return repr(text if len(text) <= SHOWN_PATH_CHARS else f"{text[:SHOWN_PATH_CHARS]}…")


def _document(path: Path) -> Mapping[str, Any]:
    """The job in the file; or, where the file is a list of files, the job that lands it."""
    if path.suffix.lower() in YAML_SUFFIXES:
        return _as_job(parse_yaml(path))
    manifest = {"source": {"type": "manifest", "location": path.name}}
    with path.open("rb") as file:
        beginning = file.read(DETECT_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not beginning.startswith(b"{") or _is_entry(beginning.splitlines()[0]):
        return manifest
    return _as_job(parse_json(path))


def _is_entry(line: bytes) -> bool:
    """Whether a first line is an object of its own, as in JSON lines, and not a job written on one line: a job has no
    `url`, while an entry may have `split` as a job may."""
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(parsed, dict) and ("url" in parsed or parsed.keys().isdisjoint(Job.model_fields))


def _as_job(parsed: Any) -> Mapping[str, Any]:
    if isinstance(parsed, list):
        return {"source": {"type": "urls", "files": parsed}}
    if not isinstance(parsed, dict):
        shown = "nothing" if parsed is None else found(parsed)
        raise InvalidJobError([FieldError("job", shown, "an object, or a list of files")])
    return parsed


def _job_id(name: str, now: datetime | None) -> str:
    """`acme files.csv` -> `acme-files-20261123T180405Z-7kq2xw`: a name a person knows again, the time, and what keeps
    two jobs of one second apart. 80 characters are the most an id may have."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name.partition("?")[0]).stem).strip("-._")
    apart = "".join(secrets.choice(ID_LETTERS) for _ in range(ID_RANDOM))
    return f"{stem[:50] or 'job'}-{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}-{apart}"
