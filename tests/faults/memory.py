"""S3 in memory, with the contract that the transfer relies on: checksums compared, sizes compared, parts of at least
the smallest size, an object that appears whole or not at all. For many small runs; the real rules are the store's.
"""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from awscrt import checksums
from botocore.exceptions import ClientError


def refused(code: str, status: int, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)


def crc(data: bytes) -> str:
    return base64.b64encode(checksums.crc64nvme(data).to_bytes(8, "big")).decode()


def drained(body: Any) -> bytes:
    """What botocore would send of a body."""
    pieces = []
    while piece := body.read(1024):
        pieces.append(bytes(piece))
    return b"".join(pieces)


@dataclass
class Pending:
    metadata: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


class MemoryS3:
    """The calls of a botocore client that a landing makes. `meta` is a real client's."""

    def __init__(self, meta: Any, min_part_bytes: int) -> None:
        self.meta, self._min_part_bytes = meta, min_part_bytes
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.uploads: dict[str, Pending] = {}
        self.part_sizes: list[int] = []
        self._lock = threading.Lock()

    def put_object(self, *, Key: str, Body: Any, Metadata: dict[str, str], ChecksumCRC64NVME: str, **_: Any) -> Any:
        data = drained(Body)
        if crc(data) != ChecksumCRC64NVME:
            raise refused("BadDigest", 400, "PutObject")
        self.part_sizes = [len(data)]
        self.objects[Key] = (data, Metadata)
        return {"ETag": '"put"', "ResponseMetadata": {}}

    def create_multipart_upload(self, *, Metadata: dict[str, str], **_: Any) -> Any:
        with self._lock:
            name = f"upload-{len(self.uploads)}-{id(Metadata)}"
            self.uploads[name] = Pending(Metadata)
        return {"UploadId": name, "ResponseMetadata": {}}

    def upload_part(self, *, UploadId: str, PartNumber: int, Body: Any, ChecksumCRC64NVME: str, **_: Any) -> Any:
        data = drained(Body)
        if crc(data) != ChecksumCRC64NVME:
            raise refused("BadDigest", 400, "UploadPart")
        self._pending(UploadId, "UploadPart").parts[PartNumber] = data
        return {"ETag": f'"{PartNumber}"', "ResponseMetadata": {}}

    def complete_multipart_upload(
        self,
        *,
        Key: str,
        UploadId: str,
        MultipartUpload: dict[str, Any],
        MpuObjectSize: int,
        ChecksumCRC64NVME: str,
        **_: Any,
    ) -> Any:
        pending = self._pending(UploadId, "CompleteMultipartUpload")
        numbers = [part["PartNumber"] for part in MultipartUpload["Parts"]]
        parts = [pending.parts[number] for number in numbers]
        data = b"".join(parts)
        if numbers != sorted(numbers) or any(len(part) < self._min_part_bytes for part in parts[:-1]):
            raise refused("InvalidPart", 400, "CompleteMultipartUpload")
        if len(data) != MpuObjectSize or crc(data) != ChecksumCRC64NVME:
            raise refused("BadDigest", 400, "CompleteMultipartUpload")
        del self.uploads[UploadId]
        self.part_sizes = [len(part) for part in parts]
        self.objects[Key] = (data, pending.metadata)
        return {"ETag": '"parts"', "ResponseMetadata": {}}

    def abort_multipart_upload(self, *, UploadId: str, **_: Any) -> Any:
        self._pending(UploadId, "AbortMultipartUpload")
        del self.uploads[UploadId]
        return {"ResponseMetadata": {}}

    def list_multipart_uploads(self, *, Prefix: str, **_: Any) -> Any:
        now = datetime.now(UTC)
        return {"Uploads": [{"Key": Prefix, "UploadId": name, "Initiated": now} for name in self.uploads]}

    def put_object_tagging(self, **_: Any) -> Any:
        return {"ResponseMetadata": {}}

    def _pending(self, name: str, operation: str) -> Pending:
        with self._lock:
            if name not in self.uploads:
                raise refused("NoSuchUpload", 404, operation)
            return self.uploads[name]
