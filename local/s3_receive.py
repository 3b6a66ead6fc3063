"""A request's body on its way to a file: unwrapped from aws-chunked, hashed, written, compared with what was stated.

Knows the aws-chunked framing (Signature V4 streaming, with and without trailers) and which headers state a
checksum. Holds one buffer of 1 MiB, whatever the size of the body.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable

from local import s3_checksums as checksums
from local.http import Body, BodyCutShortError, Request
from local.s3_errors import S3Error
from local.s3_request import whole_number
from local.s3_uploads import Written

BUFFER_BYTES = 1024 * 1024
MAX_PUT_BYTES = 5 * 1024**3  # S3 user guide: a single PUT, and a part, up to 5 GiB


class _Raw(io.RawIOBase):
    def __init__(self, body: Body) -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        return self._body.readinto(memoryview(buffer))


class AwsChunked:
    """`SIZE[;chunk-signature=…]CRLF data CRLF … 0CRLF [trailers] CRLF`. `trailers` is full once readinto gave 0."""

    def __init__(self, body: Body) -> None:
        self._stream = io.BufferedReader(_Raw(body), 64 * 1024)
        self._left = 0
        self._ended = False
        self.trailers: dict[str, str] = {}

    def readinto(self, view: memoryview) -> int:
        if self._ended or (not self._left and not self._next_chunk()):
            return 0
        count = self._stream.readinto(view[: min(len(view), self._left)])
        if not count:
            raise BodyCutShortError("body ended inside an aws-chunk")
        self._left -= count
        if not self._left:
            self._stream.readline()
        return count

    def _next_chunk(self) -> bool:
        line = self._stream.readline()
        try:
            self._left = int(line.split(b";")[0], 16)
        except ValueError:
            raise S3Error("IncompleteBody", "The request body terminated unexpectedly") from None
        if self._left:
            return True
        self._ended = True
        while (trailer := self._stream.readline().strip()) and b":" in trailer:
            name, _, value = trailer.decode("latin-1").partition(":")
            self.trailers[name.strip().lower()] = value.strip()
        return False


def content_length(request: Request) -> int:
    """Bytes of the object in this body. Raises S3Error MissingContentLength, InvalidArgument, EntityTooLarge."""
    text = request.headers.get("x-amz-decoded-content-length") or request.headers.get("content-length")
    if text is None:
        raise S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.")
    length = whole_number(text, "The length of the body must be a whole number")
    if length > MAX_PUT_BYTES:
        raise S3Error("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", ProposedSize=length)
    return length


def receiver(request: Request, algorithms: Iterable[str], *, md5_needed: bool = True) -> Callable[[int, int], Written]:
    """A writer `(descriptor, offset) -> Written` for the request's body, as Uploads.write_part wants one.

    Raises S3Error BadDigest, InvalidDigest, IncompleteBody."""
    stated = checksums.stated(request.headers)
    trailer = request.headers.get("x-amz-trailer", "").lower().removeprefix("x-amz-checksum-")
    wanted = {*algorithms, *stated, *({trailer} & set(checksums.ALGORITHMS))}
    expected_length = content_length(request)
    with_md5 = md5_needed or "content-md5" in request.headers
    is_chunked = request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
    source = AwsChunked(request.body) if is_chunked else request.body

    def write(descriptor: int, offset: int) -> Written:
        sums = checksums.Checksums(wanted, with_md5=with_md5)
        size = _pour(source, descriptor, offset, sums)
        if size != expected_length:
            raise S3Error("IncompleteBody", "You did not provide the number of bytes specified by Content-Length")
        found = sums.values()
        checksums.compare(stated | checksums.stated(getattr(source, "trailers", {})), found)
        checksums.compare_md5(request.headers.get("content-md5"), sums.etag)
        return Written(size, sums.etag, found)

    return write


def _pour(source: Body | AwsChunked, descriptor: int, offset: int, sums: checksums.Checksums) -> int:
    buffer = memoryview(bytearray(BUFFER_BYTES))
    total = 0
    while count := source.readinto(buffer):
        sums.update(buffer[:count])
        done = 0
        while done < count:
            done += os.pwrite(descriptor, buffer[done:count], offset + total + done)
        total += count
    return total
