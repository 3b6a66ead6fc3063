"""One object on its way into S3: a single PutObject or a multipart upload, and nothing left behind either way.

Knows the low-level calls, their checksums and conditions. A context manager: leaving it without a completed object
aborts the upload. Refuses to know where the bytes come from and whether they are right: its caller calls `complete`
only after comparing every digest.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sluiceway.errors import (
    FileExistsInSinkError,
    SendAgainError,
    SinkDeniedError,
    SinkError,
    SinkIntegrityError,
    UploadGoneError,
)
from sluiceway.jobs.files import ATTEMPT_METADATA
from sluiceway.sink.direct import put_object, upload_part
from sluiceway.sink.leftovers import end_empty, end_found, end_overtaken, find_overtaken, s3_time
from sluiceway.sink.translate import error_code, retries_of, sink_errors

DIRECT: dict[str, Callable[..., dict[str, Any]]] = {"put_object": put_object, "upload_part": upload_part}
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """Where an object goes and what it carries. `extra` are further S3 parameters of PutObject and
    CreateMultipartUpload (ContentType, StorageClass, SSEKMSKeyId, Tagging …). `condition` are those of the conditional
    write (`IfNoneMatch`, `IfMatch`). `checksum_name` is CRC64NVME, CRC32 or None."""

    bucket: str
    key: str
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    condition: Mapping[str, str] = field(default_factory=dict[str, str])
    checksum_name: str | None = "CRC64NVME"


class Upload:
    """A Sink of transfer/pipeline.py over a botocore S3 client. `attempt` is unique to this upload and stands in the
    object's metadata: after a lost reply one HEAD tells whether the object there is ours. `upload_id` and `attempt`
    are given when another invocation began the upload; then `load_parts` comes first. `retries` is added to: how often
    botocore sent a request of this upload again."""

    def __init__(
        self,
        s3: Any,
        target: Target,
        *,
        upload_id: str | None = None,
        attempt: str | None = None,
        retries: list[int] | None = None,
    ) -> None:
        self._s3, self._target = s3, target
        self._is_new = attempt is None
        self.attempt = attempt or uuid.uuid4().hex
        self.upload_id = upload_id
        # S3's own time of CreateMultipartUpload; None before it, and for an upload begun by another invocation.
        self._began: datetime | None = None
        self._maybe_more = False
        # Between which times, of the monotonic clock, an upload was asked for.
        self._asked = (0.0, 0.0)
        self._begin_error: SinkError | None = None
        self._version = ""
        self._retries = retries if retries is not None else list[int]()
        self._etags: dict[int, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._done = False

    def put_whole(self, body: memoryview, checksum: str | None, digests: Mapping[str, str]) -> str:
        """Stores the object in one request; returns its ETag. Its SHA-256 of `digests` becomes metadata."""
        created = self._created()
        if "sha256" in digests:
            created["Metadata"]["sha256"] = digests["sha256"]
        return self._commit("put_object", Body=body, **created, **self._checksum(checksum))

    def put_part(self, number: int, body: memoryview, checksum: str | None) -> None:
        """Sends part `number` (1 …); any thread, any order. The first part creates the upload."""
        upload_id = self.begin()
        try:
            reply = self._call(
                "upload_part", UploadId=upload_id, PartNumber=number, Body=body, **self._checksum(checksum)
            )
        except UploadGoneError as error:
            self._settle(error)
            raise
        part = {"PartNumber": number, "ETag": reply["ETag"], **self._checksum(checksum)}
        with self._lock:
            self._etags[number] = part

    def complete(self, size: int, checksum: str | None) -> str:
        """Makes the object of `size` bytes visible; returns its ETag. S3 compares the size and, where one is declared,
        the whole-object checksum."""
        parts = [self._etags[number] for number in sorted(self._etags)]
        kind = {"ChecksumType": "FULL_OBJECT"} if checksum else {}
        bucket, key, upload_id = self._target.bucket, self._target.key, self.begin()
        # When an upload of another invocation began is known to S3 alone, and only until it is complete.
        overtaken = find_overtaken(self._s3, bucket, key, upload_id) if self._began is None else []
        etag = self._commit(
            "complete_multipart_upload",
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},
            MpuObjectSize=size,
            **kind,
            **self._checksum(checksum),
        )
        if self._began is not None:
            end_overtaken(self._s3, bucket, key, upload_id, self._began)
        end_found(self._s3, bucket, key, overtaken)
        return etag

    def tag(self, tags: Mapping[str, str]) -> None:
        """Replaces the tags of the version just completed. S3 may refuse: the object is whole without them, and the log
        tells."""
        version = {"VersionId": self._version} if self._version else {}
        named = [{"Key": name, "Value": value} for name, value in tags.items()]
        try:
            self._call("put_object_tagging", Tagging={"TagSet": named}, **version)
        except SinkError as error:
            _logger.warning("no SHA-256 tag: %s", error)

    def load_parts(self, next_part: int, offset: int) -> None:
        """Asks S3 for the parts already sent: 1 to `next_part` - 1, `offset` bytes in all. A part sent after the
        checkpoint was taken is sent again. Raises UploadGoneError when these parts are not there."""
        sent, marker = 0, 0
        while True:
            reply = self._call("list_parts", UploadId=self.upload_id, PartNumberMarker=marker)
            for part in reply.get("Parts", []):
                number = int(part["PartNumber"])
                if number < next_part:
                    sums = {name: part[name] for name in part if name.startswith("Checksum")}
                    self._etags[number] = {"PartNumber": number, "ETag": part["ETag"], **sums}
                    sent += int(part["Size"])
            if not reply.get("IsTruncated"):
                break
            marker = int(reply["NextPartNumberMarker"])
        if len(self._etags) != next_part - 1 or sent != offset:
            raise UploadGoneError(
                f"the upload of s3://{self._target.bucket}/{self._target.key} holds {sent} bytes in "
                f"{len(self._etags)} parts; the checkpoint says {offset} in {next_part - 1}"
            )

    def keep(self) -> None:
        """Leaves the upload open for the invocation that goes on with it."""
        self._done = True

    def abort(self) -> None:
        """Ends the upload and frees its parts. An upload that is gone already is what was wanted."""
        if self._done:
            return
        if self.upload_id is not None:
            try:
                self._call("abort_multipart_upload", UploadId=self.upload_id)
            except UploadGoneError:
                _logger.info("upload of %s was gone before its abort", self._target.key)
        if self._maybe_more:
            end_empty(self._s3, self._target.bucket, self._target.key, self.upload_id, self._asked)
        self._done = True

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self.abort()
        except SinkError as failed:
            # The first error is the one to report; the bucket's lifecycle rule is the second net for the parts.
            if error is None:
                raise
            error.add_note(f"and the abort failed: {failed}")

    def begin(self) -> str:
        """Creates the multipart upload where that has not happened yet; returns its upload id."""
        with self._lock:
            if self.upload_id is None:
                name = self._target.checksum_name
                kind = {"ChecksumAlgorithm": name, "ChecksumType": "FULL_OBJECT"} if name else {}
                if self._begin_error is not None:
                    # Another thread has asked, and got no upload: asking for each part would ask as often.
                    raise self._begin_error
                # Until an answer to the first try is seen, S3 may have begun an upload whose name was lost on the way.
                self._maybe_more = True
                asked = time.monotonic()
                try:
                    reply = self._call("create_multipart_upload", **self._created(), **kind)
                except SinkError as error:
                    self._begin_error = error
                    raise
                finally:
                    self._asked = (asked, time.monotonic())
                self.upload_id = str(reply["UploadId"])
                self._began = s3_time(reply)
                self._maybe_more = reply.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
            return self.upload_id

    def _created(self) -> dict[str, Any]:
        return {**self._target.extra, "Metadata": {**self._target.metadata, ATTEMPT_METADATA: self.attempt}}

    def _checksum(self, value: str | None) -> dict[str, str]:
        return {f"Checksum{self._target.checksum_name}": value} if value and self._target.checksum_name else {}

    def _commit(self, operation: str, **arguments: Any) -> str:
        """Sends the request that makes the object visible. Its reply can be lost after S3 has acted; botocore's retry
        then meets our own object (412, or 409 while S3 still acts) or finds the upload gone. S3 is asked whose object
        it is, never guessed."""
        sent_again = sum(self._retries)
        try:
            reply = self._call(operation, **arguments, **self._target.condition)
        except (SinkDeniedError, SinkIntegrityError):
            raise
        except SinkError as error:
            # What refuses the only request that there ever was is not of our own making.
            is_only = self._is_new and sum(self._retries) == sent_again
            if is_only and isinstance(error, (FileExistsInSinkError, SendAgainError)):
                raise
            reply = self._settle(error)
        self._done = True
        self._version = str(reply.get("VersionId", ""))
        return str(reply["ETag"])

    def _settle(self, error: SinkError) -> dict[str, Any]:
        """What S3 says of our object, when it is there. Raises FileExistsInSinkError when another attempt has landed
        meanwhile, SinkError where S3 does not say, else `error`."""
        where = f"s3://{self._target.bucket}/{self._target.key}"
        if self.upload_id is not None:
            # Completing may still be under way. The abort ends that: afterwards the object is there or will never be.
            with suppress(SinkError):
                self._call("abort_multipart_upload", UploadId=self.upload_id)
        try:
            head: dict[str, Any] = self._s3.head_object(Bucket=self._target.bucket, Key=self._target.key)
        except (ClientError, BotoCoreError) as failed:
            is_free = isinstance(failed, ClientError) and error_code(failed)[1] == 404
            # Whoever is told that another's object is there skips the file, and whoever sends again finds one there.
            is_open = isinstance(error, (FileExistsInSinkError, SendAgainError)) and not is_free
            told = SinkError(str(error)) if is_open else error
            told.add_note(f"asked whose object is there: {type(failed).__name__}")
            raise told from None
        attempt = head.get("Metadata", {}).get(ATTEMPT_METADATA)
        if attempt == self.attempt:
            return head
        if isinstance(error, UploadGoneError) and attempt is not None:
            overtaken = self._began is not None and head["LastModified"] >= self._began
            if overtaken or self._target.condition:
                raise FileExistsInSinkError(f"{where} was landed by another attempt meanwhile") from error
        raise error

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        # Uploader threads add without a lock: an int's += may lose a count in a race, so each keeps its own entry.
        try:
            with sink_errors(operation, self._target.bucket, self._target.key):
                send = getattr(self._s3, operation)
                if operation in DIRECT:
                    send = partial(DIRECT[operation], self._s3, on_retry=lambda: self._retries.append(1))
                reply: dict[str, Any] = send(Bucket=self._target.bucket, Key=self._target.key, **arguments)
        except SinkError as error:
            self._retries.append(retries_of(error.__cause__))
            raise
        self._retries.append(int(reply.get("ResponseMetadata", {}).get("RetryAttempts", 0)))
        return reply
