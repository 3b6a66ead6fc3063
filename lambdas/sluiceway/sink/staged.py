"""An object whose bytes are all in S3 and which nobody can see: everything is sent, nothing completed.

Knows what a later call needs to complete the upload, perhaps in another process. For jobs whose files become visible
together or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sluiceway.errors import UploadGoneError
from sluiceway.jobs.files import ATTEMPT_METADATA
from sluiceway.sink.existing import find_existing
from sluiceway.sink.upload import Target, Upload


@dataclass(frozen=True, slots=True)
class Staged:
    """A whole, verified, uncompleted upload: `size` bytes in `parts` parts. `checksum` is the whole object's, encoded
    as S3 wants it, of the algorithm `checksum_name`; both None where none is declared."""

    upload_id: str
    attempt: str
    size: int
    parts: int
    checksum: str | None
    checksum_name: str | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Staged:
        return cls(**data)


class StagedUpload(Upload):
    """A Sink that sends even a small body as a part and keeps the upload open at the end. `staged` is set then."""

    staged: Staged | None = None

    def put_whole(self, body: memoryview, checksum: str | None, digests: Mapping[str, str]) -> str:
        self.put_part(1, body, checksum)
        return self.complete(len(body), checksum)

    def complete(self, size: int, checksum: str | None) -> str:
        name = self._target.checksum_name if checksum else None
        self.staged = Staged(self.begin(), self.attempt, size, len(self._etags), checksum, name)
        self.keep()
        return ""


def complete_staged(
    s3: Any,
    bucket: str,
    key: str,
    staged: Staged,
    condition: Mapping[str, str],
    tags: Mapping[str, str] | None = None,
    *,
    retries: list[int] | None = None,
) -> str:
    """Makes a staged object visible, and gives it `tags`, as far as S3 takes them, in place of those it was staged
    with; returns its ETag. May be called again after a lost reply or a crash: an object that is ours already is the
    answer. `retries` is an Upload's. Raises SinkError."""
    target = Target(bucket, key, condition=condition, checksum_name=staged.checksum_name)
    upload = Upload(s3, target, upload_id=staged.upload_id, attempt=staged.attempt, retries=retries)
    try:
        upload.load_parts(staged.parts + 1, staged.size)
    except UploadGoneError:
        completed = find_completed(s3, bucket, key, staged)
        if completed is None:
            raise
        etag = completed
    else:
        etag = upload.complete(staged.size, staged.checksum)
    if tags is not None:
        upload.tag(tags)
    return etag


def find_completed(s3: Any, bucket: str, key: str, staged: Staged) -> str | None:
    """The ETag of the staged object if it is the one that stands at its key; else None. Raises SinkError."""
    existing = find_existing(s3, bucket, key)
    ours = existing is not None and existing.metadata.get(ATTEMPT_METADATA) == staged.attempt
    return existing.etag if existing is not None and ours else None
