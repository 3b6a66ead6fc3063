"""The HTTP client of the product: pooled, keep-alive, under the URL policy on every hop.

Knows requests and redirects. Refuses to know what a body is for: `fetch` is for small replies of an API, `open` for
a file (source/download.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import urllib3

from sluiceway.errors import PolicyError, SourceProtocolError, TooLargeError
from sluiceway.redact import redact_url
from sluiceway.source.connections import CONNECTIONS_PER_HOST, discard, pool_manager
from sluiceway.source.download import Download
from sluiceway.source.policy import UrlPolicy
from sluiceway.source.representation import Begun
from sluiceway.source.retry import RetryBudget
from sluiceway.source.stall import WINDOW_SECONDS, unlimited
from sluiceway.source.translate import body_errors, head_errors

MIB = 1024**2
MAX_REDIRECTS = 5
CONNECT_TIMEOUT_SECONDS = 10.0
# Between two reads of the socket; the rate over a longer window is watched apart (source/stall.py).
READ_TIMEOUT_SECONDS = 30.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})
USER_AGENT = "sluiceway/1"
# Headers that may follow a redirect to another origin; any other could be a credential.
SAFE_HEADERS = frozenset(
    {"accept", "accept-encoding", "if-range", "if-none-match", "if-modified-since", "range", "user-agent",
     "want-repr-digest"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole small response. `headers` compare names without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Shared by all threads of a process; `close` ends its connections. `stall_seconds` is the window within which
    the least number of bytes of a body (source/stall.py), the head of a reply or a TLS handshake must have come."""

    def __init__(
        self,
        policy: UrlPolicy,
        *,
        connections_per_host: int = CONNECTIONS_PER_HOST,
        ca_bundle: str | None = None,
        budget: RetryBudget | None = None,
        connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
        read_timeout_seconds: float = READ_TIMEOUT_SECONDS,
        stall_seconds: float = WINDOW_SECONDS,
    ) -> None:
        self._policy = policy
        self._pools = pool_manager(
            policy, connections_per_host=connections_per_host, ca_bundle=ca_bundle, stall_seconds=stall_seconds
        )
        self.stall_seconds = stall_seconds
        self._timeout = urllib3.Timeout(connect=connect_timeout_seconds, read=read_timeout_seconds)
        self.budget = budget or RetryBudget()
        # Host -> seconds since 1970: until when it asked to be left alone. For those who share the host with us.
        self.asked_to_wait: dict[str, float] = {}

    @property
    def pool_waits(self) -> int:
        """How often a request of this thread has waited for a free connection so far: a file's own, where a thread
        moves a file."""
        return self._pools.thread.waits

    def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_bytes: int = 10 * MIB,
    ) -> Reply:
        """One request and its whole reply, whatever its status. Raises PolicyError, SourceError, and TooLargeError for
        a body over `max_bytes`. Does not retry: the caller knows whether the request may be sent twice."""
        response = self.request(method, url, headers or {}, body)
        shown = redact_url(url)
        try:
            with body_errors(shown):
                data = response.read(max_bytes + 1, decode_content=True)
            if len(data) > max_bytes:
                raise TooLargeError(f"{shown}: the reply exceeds {max_bytes} bytes")
            return Reply(response.status, response.headers, data)
        finally:
            _give_back(response)

    def open(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        begun: Begun | None = None,
        on_resume: Callable[[], None] | None = None,
        seconds_left: Callable[[], float] = unlimited,
    ) -> Download:
        """Opens a file for reading. Only status 200 is a body: anything else raises SourceStatusError. Retries what
        may pass (RetryBudget) and resumes when the connection breaks. `begun`: goes on where another invocation
        stopped, or raises SourceRestartError. `on_resume` is called before every request after the first one. Once no
        `seconds_left` are left nothing is waited for, here or in the Download: OutOfTimeError."""
        return Download(self, url, headers or {}, begun, on_resume, seconds_left)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        seconds_left: Callable[[], float] = unlimited,
    ) -> urllib3.BaseHTTPResponse:
        """Sends one request and follows its redirects; the body is left unread. Raises PolicyError or SourceError, and
        OutOfTimeError where the head of the reply has not come while there were `seconds_left`."""
        self._pools.thread.seconds_left = seconds_left
        try:
            return self._follow(method, url, headers, body)
        finally:
            self._pools.thread.seconds_left = unlimited

    def keep_plea(self, url: str, seconds: float) -> None:
        """Keeps for how long the host of `url` asked to be left alone: the longest of its pleas."""
        host = urlsplit(url).hostname or ""
        self.asked_to_wait[host] = max(time.time() + seconds, self.asked_to_wait.get(host, 0.0))

    def close(self) -> None:
        self._pools.clear()

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        origin = self._policy.check(url)
        sent = {"User-Agent": USER_AGENT, **headers}
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(method, url, sent, body)
            if response.status not in REDIRECTS:
                return response
            target = self._target(response, url)
            after = self._policy.check_redirect(origin, target)
            if after != origin:
                sent = {name: value for name, value in sent.items() if name.lower() in SAFE_HEADERS}
                if body is not None:
                    raise PolicyError(f"{redact_url(url)}: a request with a body is not redirected to another host")
            if response.status == 303 or (response.status in {301, 302} and method == "POST"):
                method, body = "GET", None
            url, origin = target, after
        raise SourceProtocolError(f"{redact_url(url)}: more than {MAX_REDIRECTS} redirects")

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> urllib3.BaseHTTPResponse:
        with head_errors(redact_url(url)):
            return self._pools.request(
                method,
                url,
                body=body,
                headers=dict(headers),
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=self._timeout,
            )

    @staticmethod
    def _target(response: urllib3.BaseHTTPResponse, url: str) -> str:
        location = response.headers.get("location")
        _give_back(response)
        if not location:
            raise SourceProtocolError(f"{redact_url(url)}: status {response.status} without a Location")
        # http.client takes headers for Latin-1; names beyond ASCII are commonly sent as bare UTF-8.
        with suppress(UnicodeDecodeError):
            location = location.encode("latin-1").decode()
        try:
            return urljoin(url, location)
        except ValueError:
            raise SourceProtocolError(f"{redact_url(url)}: the Location of a redirect is no URL") from None


def _give_back(response: urllib3.BaseHTTPResponse) -> None:
    """Returns the connection to its pool when the body was read whole or there is none, else closes it."""
    if response.length_remaining == 0:
        # http.client takes no further request before it has seen the end of the last body, even of an empty one.
        response.drain_conn()
        response.release_conn()
    else:
        discard(response)
