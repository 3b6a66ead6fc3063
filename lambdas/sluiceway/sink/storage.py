"""Storage calls for everything that is not a file in transfer: documents, manifests, reports, housekeeping.

Knows whole objects and streams over a botocore S3 client; every upload completes or aborts, and memory does not grow
with size.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol

from sluiceway.errors import SinkError, UploadGoneError
from sluiceway.sink.body import PartBody
from sluiceway.sink.translate import sink_errors

MIB = 1024**2
# S3 API Reference, DeleteObjects: at most 1,000 keys a request.
MAX_DELETE_KEYS = 1000
WRITER_PART_BYTES = 8 * MIB
# SigV4 query authentication: a presigned URL lives at most seven days.
MAX_PRESIGN_SECONDS = 7 * 24 * 3600


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class ObjectWriter:
    """Writes an object piece by piece in constant memory: a context manager that completes on a clean exit and aborts
    on an error. Up to one part it is a single PutObject. After the exit `etag` and `size` tell what was written."""

    def __init__(
        self, s3: Any, bucket: str, key: str, *, content_type: str | None = None, part_bytes: int = WRITER_PART_BYTES
    ) -> None:
        self._s3, self._bucket, self._key, self._part_bytes = s3, bucket, key, part_bytes
        self._extra = {"ContentType": content_type} if content_type else {}
        self._pending = bytearray()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []
        self.size = 0
        self.etag = ""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Appends `data`; sends a part whenever one is full. Raises SinkError."""
        self._pending += data
        self.size += len(data)
        while len(self._pending) >= self._part_bytes:
            self._send(self._part_bytes)

    def __enter__(self) -> ObjectWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            if error is None:
                self._finish()
        except BaseException as failed:
            self._abort(failed)
            raise
        if error is not None:
            self._abort(error)

    def _finish(self) -> None:
        if self._upload_id is None:
            body = bytes(self._pending)
            self.etag = str(self._call("put_object", Body=body, **self._extra)["ETag"])
            return
        if self._pending:
            self._send(len(self._pending))
        parts = {"Parts": self._parts}
        reply = self._call("complete_multipart_upload", UploadId=self._upload_id, MultipartUpload=parts)
        self.etag = str(reply["ETag"])

    def _send(self, size: int) -> None:
        if self._upload_id is None:
            self._upload_id = str(self._call("create_multipart_upload", **self._extra)["UploadId"])
        number = len(self._parts) + 1
        body = PartBody(memoryview(bytes(self._pending[:size])))
        reply = self._call("upload_part", UploadId=self._upload_id, PartNumber=number, Body=body)
        self._parts.append({"PartNumber": number, "ETag": reply["ETag"]})
        del self._pending[:size]

    def _abort(self, error: BaseException) -> None:
        if self._upload_id is None:
            return
        try:
            self._call("abort_multipart_upload", UploadId=self._upload_id)
        except SinkError as failed:
            error.add_note(f"and the abort failed: {failed}")

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        with sink_errors(operation, self._bucket, self._key):
            reply: dict[str, Any] = getattr(self._s3, operation)(Bucket=self._bucket, Key=self._key, **arguments)
        return reply


def upload_stream(
    s3: Any, bucket: str, key: str, stream: Readable, *, content_type: str | None = None,
    part_bytes: int = WRITER_PART_BYTES,
) -> tuple[int, str]:  # fmt: skip
    """Stores everything `stream` yields; returns its bytes and the ETag. Raises SinkError; then nothing is left."""
    with ObjectWriter(s3, bucket, key, content_type=content_type, part_bytes=part_bytes) as writer:
        while piece := stream.read(MIB):
            writer.write(piece)
    return writer.size, writer.etag


def upload_buffer(
    s3: Any, bucket: str, key: str, data: bytes, *, content_type: str | None = None, if_none_match: bool = False
) -> str:
    """Stores `data` in one request; returns the ETag. `if_none_match`: raises FileExistsInSinkError where the key is
    taken."""
    extra: dict[str, Any] = {"ContentType": content_type} if content_type else {}
    if if_none_match:
        extra["IfNoneMatch"] = "*"
    with sink_errors("put_object", bucket, key):
        return str(s3.put_object(Bucket=bucket, Key=key, Body=data, **extra)["ETag"])


class ObjectReader(io.RawIOBase):
    """An object's bytes as they come; a context manager. `length` is how many there are, `etag` the object's."""

    def __init__(self, body: Any, length: int, etag: str, bucket: str, key: str) -> None:
        super().__init__()
        self._body, self.length, self.etag, self._bucket, self._key = body, length, etag, bucket, key

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any, /) -> int:
        with sink_errors("get_object", self._bucket, self._key):
            data = self._body.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


def download_stream(
    s3: Any, bucket: str, key: str, *, start: int | None = None, length: int | None = None
) -> ObjectReader:
    """Opens an object, or `length` bytes of it from `start`, for reading. Raises SinkError, of which
    ObjectMissingError where there is none."""
    extra: dict[str, str] = {}
    if start is not None or length is not None:
        first = start or 0
        extra["Range"] = f"bytes={first}-" if length is None else f"bytes={first}-{first + length - 1}"
    with sink_errors("get_object", bucket, key):
        reply = s3.get_object(Bucket=bucket, Key=key, **extra)
    return ObjectReader(reply["Body"], int(reply["ContentLength"]), str(reply["ETag"]), bucket, key)


def download_file(s3: Any, bucket: str, key: str, path: Path) -> int:
    """Writes an object to `path`, which appears only when it is whole; returns its bytes. Raises SinkError, OSError."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with download_stream(s3, bucket, key) as reader, partial.open("wb") as file:
            size = _copy(reader, file)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return size


def _copy(reader: ObjectReader, file: BinaryIO) -> int:
    size = 0
    while piece := reader.read(MIB):
        size += file.write(piece)
    if size != reader.length:
        raise SinkError(f"the object has {reader.length} bytes, {size} arrived")
    return size


def delete_objects(
    s3: Any, bucket: str, keys: Iterable[str], *, max_keys: int = MAX_DELETE_KEYS
) -> list[tuple[str, str]]:
    """Deletes any number of keys, `max_keys` a request. Returns (key, error code) for each that S3 did not delete; a
    key that does not exist counts as deleted. Raises SinkError when a whole request fails."""
    failed: list[tuple[str, str]] = []
    for batch in _batches(keys, max_keys):
        with sink_errors("delete_objects", bucket, batch[0]):
            reply = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True})
        failed += [(str(each["Key"]), str(each["Code"])) for each in reply.get("Errors", [])]
    return failed


def list_keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    """The keys under `prefix`, in order. Raises SinkError."""
    with sink_errors("list_objects_v2", bucket, prefix):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (str(each["Key"]) for each in page.get("Contents", []))


def open_uploads(s3: Any, bucket: str, prefix: str = "") -> Iterator[tuple[str, str, datetime]]:
    """The unfinished multipart uploads under `prefix`: (key, upload id, when it was begun). Raises SinkError."""
    with sink_errors("list_multipart_uploads", bucket, prefix):
        for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
            for each in page.get("Uploads", []):
                yield str(each["Key"]), str(each["UploadId"]), each["Initiated"]


def abort_upload(s3: Any, bucket: str, key: str, upload_id: str) -> None:
    """Ends an unfinished upload and frees its parts; one that is gone already is what was wanted. Raises SinkError."""
    with contextlib.suppress(UploadGoneError), sink_errors("abort_multipart_upload", bucket, key):
        s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)


def presigned_url(s3: Any, bucket: str, key: str, *, expires_seconds: int = 3600, method: str = "get_object") -> str:
    """A URL that lets its holder do `method` on the object for `expires_seconds` (1 to 604,800). Raises ValueError."""
    if not 1 <= expires_seconds <= MAX_PRESIGN_SECONDS:
        raise ValueError(f"expires_seconds: expected 1 to {MAX_PRESIGN_SECONDS}, found {expires_seconds}")
    return str(s3.generate_presigned_url(method, Params={"Bucket": bucket, "Key": key}, ExpiresIn=expires_seconds))


def _batches(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for key in keys:
        batch.append(key)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
