"""One file being read from a server: a raw stream that survives broken connections.

Knows GET, Range with If-Range, and when a body is whole. A break reopens at the exact byte when the server has a
strong validator and honours ranges; otherwise it raises SourceRestartError and the caller starts over from zero. A
body that is not the one begun is never continued.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Protocol

import urllib3

from sluiceway.errors import (
    OutOfTimeError,
    RangesRefusedError,
    SluicewayError,
    SourceError,
    SourceProtocolError,
    SourceRestartError,
    SourceStatusError,
    SourceTruncatedError,
)
from sluiceway.redact import redact_url
from sluiceway.source.body import read_into
from sluiceway.source.connections import discard, discarding_on_error
from sluiceway.source.representation import (
    Begun,
    announced_length,
    check_rest,
    check_unchanged,
    is_end,
    strong_validator,
)
from sluiceway.source.retry import RETRYABLE_STATUSES, RetryBudget, is_dead_link
from sluiceway.source.stall import LEAST_BYTES, Watch, stalls, unlimited
from sluiceway.source.stated import WANT_REPR_DIGEST
from sluiceway.source.translate import translated
from sluiceway.tls import plain

KIB = 1024
# Small reads first, doubled while the source is quick: a slow source still shows its progress in time. Where arriving
# bytes cannot be counted they stay small: then a read is what must end within the window.
FIRST_READ_BYTES = LEAST_BYTES
# Of a quick source the kernel acknowledges fewer, larger pieces; with more the bytes have left the cache when they are
# hashed.
LARGEST_READ_BYTES = 4096 * KIB
# A condition holds for the first request; the rest of a body is asked for under If-Range alone.
CONDITIONS = frozenset({"if-none-match", "if-modified-since"})


class Requests(Protocol):
    """What a download asks of the one who sends its requests: source/client.py keeps it."""

    budget: RetryBudget
    stall_seconds: float

    def request(
        self, method: str, url: str, headers: Mapping[str, str], *, seconds_left: Callable[[], float]
    ) -> urllib3.BaseHTTPResponse:
        """Sends one request; the body is left unread. Raises PolicyError, SourceError or OutOfTimeError."""

    def keep_plea(self, url: str, seconds: float, /) -> None:
        """Keeps for how long the host of `url` asked to be left alone, so that others of its files wait as well."""


class Download(io.RawIOBase):
    """An open body. `length` is its length in bytes, None until the server tells it; `headers` are those of the first
    response; `on_resume` is called before every request after the first one. Raises SourceError, and OutOfTimeError
    where it would have to wait for longer than there are `seconds_left`, also from `readinto`."""

    # Set where the size or a digest of the whole body is known: then it needs no other proof that it is whole.
    is_vouched_for = False

    def __init__(
        self,
        client: Requests,
        url: str,
        headers: Mapping[str, str],
        begun: Begun | None = None,
        on_resume: Callable[[], None] | None = None,
        seconds_left: Callable[[], float] = unlimited,
    ) -> None:
        super().__init__()
        self._client, self._url, self._shown = client, url, redact_url(url)
        self._asked = {"Accept-Encoding": "identity", "Want-Repr-Digest": WANT_REPR_DIGEST, **headers}
        self.headers: Mapping[str, str] = {}
        self._response: urllib3.BaseHTTPResponse | None = None
        self._watch: Watch | None = None
        self._offset = 0
        # Where the piece that a 206 carries ends, when that is before the end of the body.
        self._until: int | None = None
        self._failures = 0
        self._failed_at = 0
        self._read_bytes = FIRST_READ_BYTES
        self._on_resume = on_resume or (lambda: None)
        self._seconds_left = seconds_left
        self._end: int | None = None
        if begun is not None and (begun.offset or begun.end is not None):
            self._go_on(begun)
        else:
            self._begin()

    def _begin(self) -> None:
        response = self._send(self._asked)
        if response.status != 200:
            raise self._refused(response)
        self.headers = response.headers
        with discarding_on_error(response):
            self.length = self._end = announced_length(response.headers, self._shown)
            self.validator = strong_validator(response.headers)
        self._ranges = response.headers.get("accept-ranges", "").lower() != "none" and self._rest_would_be_known
        self._attach(response)

    def _go_on(self, begun: Begun) -> None:
        if begun.validator is None:
            raise SourceRestartError(f"{self._shown}: it cannot be resumed: no strong validator")
        self._offset, self.validator, self.length = begun.offset, begun.validator, begun.length
        self._end = begun.end if begun.end is not None else begun.length
        self._ranges = True
        self.headers = self._open_rest().headers

    def _rest_headers(self) -> dict[str, str]:
        asked = {name: value for name, value in self._asked.items() if name.lower() not in CONDITIONS}
        if not self._is_partial:
            return asked
        last = "" if self._end is None or self._end == self.length else self._end - 1
        return {**asked, "Range": f"bytes={self._offset}-{last}", "If-Range": self.validator or ""}

    @property
    def _is_partial(self) -> bool:
        return self._offset > 0 or self._end != self.length

    @property
    def _rest_would_be_known(self) -> bool:
        """Whether the rest of another coding, by a server that gives both one ETag, would show by its length."""
        return self.length is not None or self.headers.get("content-encoding", "identity").lower() == "identity"

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
                if isinstance(error, SourceRestartError | SourceStatusError):
                    raise
                self._resume(error)

    def close(self) -> None:
        self._detach()
        super().close()

    def _read(self, view: memoryview) -> int:
        if self._response is None or self._end == self._offset or not len(view):
            self._detach(is_read=True)
            return 0
        want = view[: self._read_bytes]
        if self._until is not None:
            want = want[: self._until - self._offset]
            if not len(want):
                # The server sends a body in smaller pieces than asked for; that is its right, within reason.
                if self._offset - self._failed_at < self._client.budget.progress_bytes:
                    raise SourceTruncatedError(f"{self._shown}: the server sends it in pieces too small to end")
                self._failed_at = self._offset
                self._detach()
                self._on_resume()
                self._open_rest()
                return self._read(view)
        if self._watch is not None:
            self._watch.reading()
        try:
            got = read_into(self._response, want, may_just_end=self.is_vouched_for)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self._cut() or translated(error, self._shown) from error
        if not got:
            self._check_end()
            return 0
        self._offset += got
        self._pace()
        return got

    def _pace(self) -> None:
        quick = self._watch is not None and self._watch.moved()
        larger = quick and self._watch is not None and self._watch.is_counted
        self._read_bytes = min(self._read_bytes * 2, LARGEST_READ_BYTES) if larger else FIRST_READ_BYTES

    def _check_end(self) -> None:
        cut = self._cut()
        if cut is not None:
            raise cut
        end = self._end if self._until is None else self._until
        if end is not None and self._offset < end:
            raise SourceTruncatedError(f"{self._shown}: the body ended after {self._offset} of {end} bytes")
        self._detach(is_read=True)

    def _cut(self) -> SluicewayError | None:
        return self._watch.error(self._shown) if self._watch is not None else None

    def _resume(self, error: SourceError) -> None:
        """Opens the rest of the body. Raises SourceRestartError when that cannot be, `error` when tries run out."""
        self._detach()
        self._read_bytes = FIRST_READ_BYTES
        if self._offset - self._failed_at >= self._client.budget.progress_bytes:
            self._failures = 0
        self._failed_at = self._offset
        if self._is_partial and not self.resumable:
            raise SourceRestartError(f"{error}; it cannot be resumed: no strong validator or no ranges") from error
        self._count_failure(error)
        try:
            self._open_rest()
        except (SourceStatusError, SourceRestartError):
            raise
        except SourceError as again:
            self._resume(again)

    def _count_failure(self, error: SourceError, retry_after: str | None = None) -> None:
        """Waits before the next try. Raises `error` when none is left, OutOfTimeError when there is no time for it."""
        self._failures += 1
        budget, is_last = self._client.budget, self._failures > self._client.budget.attempts
        seconds = 0.0 if is_last else budget.pause_seconds(self._failures, retry_after)
        if seconds >= self._seconds_left():
            raise OutOfTimeError(f"{error}; no time is left to try again") from error
        if is_last:
            error.add_note(f"{self._failures} tries in a row brought less than {budget.progress_bytes} bytes each")
            raise error
        self._on_resume()
        budget.sleep(seconds)

    def _open_rest(self) -> urllib3.BaseHTTPResponse:
        response = self._send(self._rest_headers())
        with discarding_on_error(response):
            self._check_continues(response)
        if self._offset == self._end:
            discard(response)
        else:
            self._attach(response)
        return response

    def _check_continues(self, response: urllib3.BaseHTTPResponse) -> None:
        """Raises SourceRestartError unless `response` is the rest of the body begun, or says that there is none. A body
        whose length was unknown has it from the first reply that tells it, and the later ones are held against it."""
        headers, status = response.headers, response.status
        self._until = None
        if status == 200 and not self._is_partial:
            check_unchanged(headers, self.headers or headers, self.validator, self.length, self._shown)
        elif status == 416 and self._end is None and is_end(headers, self.validator, self._offset, self._shown):
            self.length = self._end = self._offset
        elif status in {200, 412, 416}:
            same = status == 200 and strong_validator(headers) == self.validator
            kind, why = (RangesRefusedError, "ranges are refused") if same else (SourceRestartError, "the file changed")
            raise kind(f"{self._shown}: {why}; it cannot go on at byte {self._offset}")
        elif status == 206:
            end, total = check_rest(headers, self.validator, self._offset, self._end, self.length, self._shown)
            if self._end is None:
                self.length = self._end = total
            self._until = end if end != self._end else None
        else:
            raise self._refused(response)

    def _send(self, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Sends the GET until the server answers with a status that trying again would not change."""
        while True:
            try:
                response = self._client.request("GET", self._url, headers, seconds_left=self._seconds_left)
            except SourceProtocolError:
                raise
            except SourceError as error:
                self._count_failure(error)
                continue
            if response.status not in RETRYABLE_STATUSES:
                return response
            retry_after = response.headers.get("retry-after")
            if plea := self._client.budget.plea_seconds(response.status, retry_after):
                self._client.keep_plea(self._url, plea)
            self._count_failure(self._refused(response), retry_after)

    def _refused(self, response: urllib3.BaseHTTPResponse) -> SourceStatusError:
        discard(response)
        status = response.status
        text = f"{self._shown}: expected status 200, received {status}"
        return SourceStatusError(text, status=status, link_died=is_dead_link(status, self._url))

    def _attach(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response
        sock = plain(getattr(response, "sock", None))
        self._watch = stalls.watch(sock, self._client.stall_seconds, LEAST_BYTES, self._seconds_left)

    def _detach(self, *, is_read: bool = False) -> None:
        """A connection whose body is read goes back to the pool for the next file; any other ends."""
        if self._watch is not None:
            self._watch.end()
        if self._response is not None and is_read:
            self._response.release_conn()
        elif self._response is not None:
            discard(self._response)
        self._watch = self._response = None
