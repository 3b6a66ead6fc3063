"""One file being read from a server: a raw stream that survives broken connections.

Knows GET, Range with If-Range, and when a body is whole. A break reopens at the exact byte when the server has a
strong validator and honours ranges; otherwise it raises SourceRestartError and the caller starts over from zero. A
body that is not the one begun is never continued.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import urllib3

from sluiceway.errors import (
    RangesRefusedError,
    SourceError,
    SourceProtocolError,
    SourceRestartError,
    SourceStatusError,
    SourceTruncatedError,
    SourceUnreachableError,
)
from sluiceway.redact import redact_url
from sluiceway.source.retry import RETRYABLE_STATUSES
from sluiceway.source.stall import Watch, stalls
from sluiceway.source.translate import translated

if TYPE_CHECKING:
    from sluiceway.source.client import Client

KIB = 1024
# Small reads first, doubled while the source is quick: a slow source still shows its progress in time.
FIRST_READ_BYTES = 64 * KIB
LARGEST_READ_BYTES = 1024 * KIB
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Begun:
    """A body whose first `offset` bytes are somebody else's; `length` was announced then. `end`, where given, is the
    byte before which to stop."""

    offset: int
    validator: str | None
    length: int | None
    end: int | None = None


class Download(io.RawIOBase):
    """An open body. `length` is its announced length in bytes or None; `headers` are those of the first response;
    `resumes` counts reopened connections. Raises SourceError from `readinto`."""

    def __init__(self, client: Client, url: str, headers: Mapping[str, str], begun: Begun | None = None) -> None:
        super().__init__()
        self._client, self._url, self._shown = client, url, redact_url(url)
        self._asked = {"Accept-Encoding": "identity", **headers}
        self._response: urllib3.BaseHTTPResponse | None = None
        self._watch: Watch | None = None
        self._offset = 0
        self._failures = 0
        self._read_bytes = FIRST_READ_BYTES
        self.resumes = 0
        self._end: int | None = None
        if begun is not None and (begun.offset or begun.end is not None):
            self._go_on(begun)
        else:
            self._begin()

    def _begin(self) -> None:
        response = self._reopen(self._asked)
        if response.status != 200:
            raise self._refused(response)
        self.headers = response.headers
        self.length = self._end = _length_of(response, self._shown)
        self.validator = _strong_validator(response.headers)
        self._ranges = response.headers.get("accept-ranges", "").lower() != "none"
        self._attach(response)

    def _go_on(self, begun: Begun) -> None:
        if begun.validator is None:
            raise SourceRestartError(f"{self._shown}: it cannot be resumed: no strong validator")
        self._offset, self.validator, self.length = begun.offset, begun.validator, begun.length
        self._end = begun.end if begun.end is not None else begun.length
        self._ranges = True
        response = self._reopen(self._rest_headers())
        self._check_continues(response)
        self.headers = response.headers
        self._attach(response)

    def _rest_headers(self) -> dict[str, str]:
        last = "" if self._end is None or self._end == self.length else self._end - 1
        return {**self._asked, "Range": f"bytes={self._offset}-{last}", "If-Range": self.validator or ""}

    @property
    def _is_partial(self) -> bool:
        return self._offset > 0 or self._end != self.length

    @property
    def resumable(self) -> bool:
        """Whether a later request can go on in the middle: a strong validator, and ranges not ruled out."""
        return self.validator is not None and self._ranges

    def readable(self) -> bool:
        return True

    def readinto(self, view: memoryview, /) -> int:  # type: ignore[override]
        """Reads up to len(view) bytes, 0 at the end of a whole body. Raises SourceRestartError when the body cannot be
        continued and must be read again from its first byte."""
        while True:
            try:
                return self._read(memoryview(view).cast("B"))
            except SourceError as error:
                if isinstance(error, SourceRestartError):
                    raise
                self._resume(error)

    def close(self) -> None:
        self._detach()
        super().close()

    def _read(self, view: memoryview) -> int:
        if self._response is None or self._end == self._offset or not len(view):
            self._release_whole()
            return 0
        want = view[: self._read_bytes]
        if self._watch is not None:
            self._watch.reading()
        try:
            got = self._response.readinto(want)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self._stalled() or translated(error, self._shown) from error
        if not got:
            self._check_end()
            return 0
        self._offset += got
        self._failures = 0
        self._pace()
        return got

    def _pace(self) -> None:
        quick = self._watch is not None and self._watch.moved()
        self._read_bytes = min(self._read_bytes * 2, LARGEST_READ_BYTES) if quick else FIRST_READ_BYTES

    def _check_end(self) -> None:
        stalled = self._stalled()
        if stalled is not None:
            raise stalled
        if self._end is not None and self._offset < self._end:
            raise SourceTruncatedError(f"{self._shown}: the body ended after {self._offset} of {self._end} bytes")
        self._release_whole()

    def _stalled(self) -> SourceError | None:
        if self._watch is None or not self._watch.stalled:
            return None
        return SourceUnreachableError(
            f"{self._shown}: stalled, fewer than {self._read_bytes} bytes in {self._client.stall_seconds:g} s"
        )

    def _resume(self, error: SourceError) -> None:
        """Opens the rest of the body. Raises SourceRestartError when that cannot be, `error` when tries run out."""
        self._detach()
        self._read_bytes = FIRST_READ_BYTES
        self._failures += 1
        if self._failures > self._client.budget.attempts:
            raise error
        if self._is_partial and not self.resumable:
            raise SourceRestartError(f"{error}; it cannot be resumed: no strong validator or no ranges") from error
        self._client.budget.pause(self._failures)
        self.resumes += 1
        headers = self._rest_headers() if self._is_partial else dict(self._asked)
        try:
            response = self._reopen(headers)
            self._check_continues(response)
        except SourceStatusError:
            raise
        except SourceRestartError:
            raise
        except SourceError as again:
            self._resume(again)
            return
        self._attach(response)

    def _check_continues(self, response: urllib3.BaseHTTPResponse) -> None:
        """Raises SourceRestartError unless `response` is the rest of the body begun."""
        if response.status == 200 and not self._is_partial:
            same = _strong_validator(response.headers) == self.validator and _length_of(response, "") == self.length
            if not same:
                response.close()
                raise SourceRestartError(f"{self._shown}: the file changed between two attempts")
            return
        if response.status in {200, 412, 416}:
            response.close()
            same = response.status == 200 and _strong_validator(response.headers) == self.validator
            kind, why = (RangesRefusedError, "ranges are refused") if same else (SourceRestartError, "the file changed")
            raise kind(f"{self._shown}: {why}; it cannot go on at byte {self._offset}")
        if response.status != 206:
            raise self._refused(response)
        match = CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        whole = (
            match is not None
            and int(match[1]) == self._offset
            and int(match[2]) + 1 == (self._end or int(match[2]) + 1)
        )
        if not whole or (self.length is not None and match is not None and match[3] not in {"*", str(self.length)}):
            response.close()
            raise SourceProtocolError(
                f"{self._shown}: asked for bytes from {self._offset} of {self.length}, "
                f"the server answered Content-Range {response.headers.get('content-range')!r}"
            )

    def _reopen(self, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Sends the GET until the server answers with a status that trying again would not change."""
        while True:
            try:
                response = self._client.request("GET", self._url, headers)
            except SourceError as error:
                self._failures += 1
                if isinstance(error, SourceProtocolError) or self._failures > self._client.budget.attempts:
                    raise
                self._client.budget.pause(self._failures)
                continue
            if response.status not in RETRYABLE_STATUSES:
                return response
            self._failures += 1
            if self._failures > self._client.budget.attempts:
                return response
            response.close()
            self._client.budget.pause(self._failures, response.headers.get("retry-after"))

    def _refused(self, response: urllib3.BaseHTTPResponse) -> SourceStatusError:
        response.close()
        return SourceStatusError(
            f"{self._shown}: expected status 200, received {response.status}", status=response.status
        )

    def _attach(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response
        self._watch = stalls.watch(getattr(response, "watched_sock", None), self._client.stall_seconds)

    def _detach(self) -> None:
        if self._watch is not None:
            self._watch.end()
        if self._response is not None:
            self._response.close()
        self._watch = self._response = None

    def _release_whole(self) -> None:
        """The body is read: its connection goes back to the pool for the next file."""
        if self._watch is not None:
            self._watch.end()
        if self._response is not None:
            self._response.release_conn()
        self._watch = self._response = None


def _length_of(response: urllib3.BaseHTTPResponse, shown: str) -> int | None:
    """The body's length from Content-Length; None when absent or overruled by chunked framing (RFC 9112, 6.3)."""
    text = response.headers.get("content-length")
    if text is None or "chunked" in response.headers.get("transfer-encoding", "").lower():
        return None
    values = {value.strip() for value in text.split(",")}
    if len(values) != 1 or not (value := values.pop()).isdigit():
        response.close()
        raise SourceProtocolError(f"{shown}: Content-Length is {text!r}")
    return int(value)


def _strong_validator(headers: Mapping[str, str]) -> str | None:
    """What If-Range may carry (RFC 9110, 13.1.5): a strong ETag, else Last-Modified."""
    etag = headers.get("etag", "")
    if etag.startswith('"'):
        return etag
    return headers.get("last-modified")
