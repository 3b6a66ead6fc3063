"""Multipart uploads: parts are written where they will lie in the object, so that Complete is a rename.

Knows where a part goes, which parts an upload has, and how they become one file. Refuses to know HTTP and
checksums: it is handed a function that writes. S3 does not say the part size beforehand, so a part's place is
guessed from its neighbours; a part that fits nowhere gets a file of its own, copied into place on Complete.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from local.s3_errors import S3Error, no_such_upload

MIN_PART_BYTES = 5 * 1024 * 1024  # S3 user guide, "multipart upload limits": every part but the last
MAX_PARTS = 10_000
LAST_UPLOAD = "g"  # greater than any id, which begins with a hexadecimal digit
PART_NUMBER = f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
_COPY_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Part:
    """`file` None: in the upload's shared file, at `offset`."""

    number: int
    size: int
    offset: int
    file: Path | None
    etag: str
    checksums: dict[str, str]
    modified: float


@dataclass(slots=True)
class Upload:
    """An upload in progress. `headers` and `tags` are for the object; `algorithm` and `checksum_type` as declared."""

    upload_id: str
    bucket: str
    key: str
    folder: Path
    headers: dict[str, str]
    tags: dict[str, str]
    algorithm: str
    checksum_type: str
    declared: bool
    initiated: float
    parts: dict[int, Part] = field(default_factory=dict)
    slots: dict[int, tuple[int, int]] = field(default_factory=dict)
    writing: int = 0
    ended: bool = False
    lock: threading.Condition = field(default_factory=threading.Condition)

    @property
    def shared(self) -> Path:
        return self.folder / "data"


@dataclass(frozen=True, slots=True)
class Written:
    """What a writer found while it wrote: bytes, ETag, base64 checksums."""

    size: int
    etag: str
    checksums: dict[str, str]


class Uploads:
    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._uploads: dict[str, Upload] = {}
        self._lock = threading.Lock()

    def create(self, bucket: str, key: str, **declared: object) -> Upload:
        # By their ids uploads of one key are in the order in which they were begun, as pages of a list want them.
        upload_id = f"{time.time_ns():016x}{uuid.uuid4().hex[:16]}"
        folder = self._scratch / f"upload-{upload_id}"
        folder.mkdir()
        upload = Upload(upload_id, bucket, key, folder, initiated=time.time(), **declared)  # type: ignore[arg-type]
        upload.shared.touch()
        with self._lock:
            self._uploads[upload_id] = upload
        return upload

    def get(self, bucket: str, key: str, upload_id: str) -> Upload:
        upload = self._uploads.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (bucket, key) or upload.ended:
            raise no_such_upload(upload_id)
        return upload

    def of_bucket(self, bucket: str, prefix: str = "") -> list[Upload]:
        """In the order of ListMultipartUploads: by key, then by id."""
        with self._lock:
            found = [u for u in self._uploads.values() if u.bucket == bucket and u.key.startswith(prefix)]
        return sorted(found, key=lambda upload: (upload.key.encode(), upload.upload_id))

    def write_part(self, upload: Upload, number: int, length: int, write: Callable[[int, int], Written]) -> Part:
        """`write(descriptor, offset)` stores the bytes and says what it stored; the part counts once it returned."""
        if not 1 <= number <= MAX_PARTS:
            raise S3Error("InvalidArgument", PART_NUMBER)
        offset = self._take_slot(upload, number, length)
        file = None if offset is not None else upload.folder / uuid.uuid4().hex
        try:
            descriptor = os.open(file or upload.shared, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                written = write(descriptor, offset or 0)
            finally:
                os.close(descriptor)
            part = Part(number, written.size, offset or 0, file, written.etag, written.checksums, time.time())
            with upload.lock:
                if upload.ended:
                    raise no_such_upload(upload.upload_id)
                old = upload.parts.get(number)
                upload.parts[number] = part
            if old is not None and old.file is not None:
                old.file.unlink(missing_ok=True)
            return part
        except BaseException:
            self._drop(upload, number, offset, file)
            raise
        finally:
            with upload.lock:
                upload.writing -= 1
                upload.lock.notify_all()

    def _take_slot(self, upload: Upload, number: int, length: int) -> int | None:
        with upload.lock:
            if upload.ended:
                raise no_such_upload(upload.upload_id)
            upload.writing += 1
            if number in upload.slots:
                return None  # its first writer may still be at work, or its bytes be the better ones
            offset = _place(upload.slots, number, length)
            if offset is not None:
                upload.slots[number] = (offset, length)
            return offset

    def _drop(self, upload: Upload, number: int, offset: int | None, file: Path | None) -> None:
        if file is not None:
            file.unlink(missing_ok=True)
        elif offset is not None:
            with upload.lock:
                upload.slots.pop(number, None)

    def end(self, upload: Upload) -> None:
        """No further part is taken; returns once those being written are over. Raises NoSuchUpload the second time."""
        with upload.lock:
            if upload.ended:
                raise no_such_upload(upload.upload_id)
            upload.ended = True
            upload.lock.wait_for(lambda: upload.writing == 0)

    def reopen(self, upload: Upload) -> None:
        """Undoes `end` after a Complete that was refused: the upload is as before."""
        with upload.lock:
            upload.ended = False

    def remove(self, upload: Upload) -> None:
        with self._lock:
            self._uploads.pop(upload.upload_id, None)
        shutil.rmtree(upload.folder, ignore_errors=True)


def _place(slots: dict[int, tuple[int, int]], number: int, length: int) -> int | None:
    if number == 1:
        offset = 0
    elif number - 1 in slots:
        offset = sum(slots[number - 1])
    else:
        sizes = {size for _, size in slots.values()} or {length}
        if len(sizes) != 1:
            return None
        offset = (number - 1) * sizes.pop()
    clash = any(offset < start + size and start < offset + length for start, size in slots.values())
    return None if clash else offset


def assemble(upload: Upload, parts: list[Part]) -> Path:
    """One file holding the parts in order: the shared file if every part in it lies where it belongs, else a copy.

    A part left out of the Complete forces the copy: a Complete that is refused later must leave it intact."""
    offsets, total = [], 0
    for part in parts:
        offsets.append(total)
        total += part.size
    in_place = len(parts) == len(upload.parts) and all(
        part.offset == offset for part, offset in zip(parts, offsets, strict=True) if part.file is None
    )
    target = upload.shared if in_place else upload.folder / "assembled"
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        for part, offset in zip(parts, offsets, strict=True):
            if part.file is not None or not in_place:
                _copy(part.file or upload.shared, part.offset, part.size, descriptor, offset)
        os.ftruncate(descriptor, total)
    finally:
        os.close(descriptor)
    return target


def _copy(source: Path, source_offset: int, size: int, target: int, target_offset: int) -> None:
    """Inside the kernel where it can be."""
    with open(source, "rb") as file:
        while size > 0:
            run = min(size, _COPY_BYTES)
            count = os.copy_file_range(file.fileno(), target, run, source_offset, target_offset)
            if not count:
                raise OSError(f"{source} is shorter than its part")
            source_offset += count
            target_offset += count
            size -= count
