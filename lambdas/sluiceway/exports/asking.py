"""Asks an export API: credentials on, tried again where that may help, and every odd reply an error of its own name.

Knows which replies mean "later", and that the first 500 characters of an offending reply are told, without links and
secrets. Refuses to know what is asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sluiceway.errors import CredentialsRefusedError, ExportError, ReplyNotJsonError, SourceUnreachableError
from sluiceway.redact import redact_url
from sluiceway.source.client import Reply
from sluiceway.source.connections import discard

if TYPE_CHECKING:
    from sluiceway.exports.credentials import Auth, Credentials
    from sluiceway.source.client import Client

# A list of 100,000 files with long signed links is about 64 MiB.
MAX_REPLY_BYTES = 64 * 1024**2
SHOWN_CHARS = 500
PROGRESS_CHARS = 200
# Not an answer about the export: ask again. Any other status from 400 on is the end of it.
ASK_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
# Said before the request was looked at, so that even one that may not be sent twice may be sent again.
NOT_TAKEN = frozenset({425, 429, 503})
UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Api:
    """`auth` is the plain form of a scheme; `headers` go with every request, and may hold credentials."""

    client: Client
    credentials: Credentials
    auth: Auth
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        twice: bool | None = None,
        max_bytes: int = MAX_REPLY_BYTES,
    ) -> Reply:
        """The reply, whatever its status, once it is worth no other attempt. `twice` says whether the request may reach
        the API twice; None: by its method. A token that is refused is renewed, once."""
        again = method in ("GET", "DELETE", "PUT") if twice is None else twice
        budget, failures = self.client.budget, 0
        while True:
            try:
                reply = self.ask_once(method, url, headers=headers, body=body, max_bytes=max_bytes)
            except SourceUnreachableError:
                failures += 1
                if not again or failures >= budget.attempts:
                    raise
                budget.pause(failures)
                continue
            if reply.status not in (ASK_AGAIN if again else NOT_TAKEN):
                return reply
            failures += 1
            if failures >= budget.attempts:
                return reply
            budget.pause(failures, reply.headers.get("Retry-After"))

    def ask_once(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_bytes: int = MAX_REPLY_BYTES,
    ) -> Reply:
        """One request, and with a new token a second where the old one is refused."""
        put = {"Accept": "application/json", **(headers or {}), **self.headers}
        began = self.credentials.now()
        reply = self._send(method, url, put, body, max_bytes)
        if reply.status == UNAUTHORIZED and self.credentials.renew(self.auth, began):
            reply = self._send(method, url, put, body, max_bytes)
        return reply

    def head(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        """Asks with GET and reads no byte of the body: not every API answers HEAD."""
        put = {**self.headers, **headers}
        for last in (False, True):
            began = self.credentials.now()
            signed = self.credentials.sign(self.auth, "GET", url, put)
            response = self.client.request("GET", signed.url, signed.headers)
            reply = Reply(response.status, response.headers, b"")
            discard(response)
            if last or reply.status != UNAUTHORIZED or not self.credentials.renew(self.auth, began):
                break
        return reply

    def check(self, reply: Reply, url: str) -> Reply:
        """Raises ExportError unless the status is of success, CredentialsRefusedError for credentials not taken."""
        if not 200 <= reply.status < 300:
            refused = CredentialsRefusedError if reply.status == UNAUTHORIZED else ExportError
            raise refused(f"{redact_url(url)}: status {reply.status}: {self.shown(reply.body)}")
        return reply

    def parse(self, reply: Reply, url: str) -> Any:
        """The JSON of a reply, None of an empty one. Raises ReplyNotJsonError."""
        if not reply.body.strip():
            return None
        try:
            return json.loads(reply.body)
        except ValueError:
            raise ReplyNotJsonError(f"{redact_url(url)}: expected JSON, found {self.shown(reply.body)}") from None

    def shown(self, text: bytes | str) -> str:
        """The beginning of a reply, cut after links and secrets were taken out, so that no half of one escapes."""
        text = text[: 64 * SHOWN_CHARS].decode(errors="replace") if isinstance(text, bytes) else text
        return repr(self.credentials.mask(text[: 16 * SHOWN_CHARS])[:SHOWN_CHARS])

    def progress(self, said: Any) -> str | None:
        """What an API says of how far it is, as it may stand on a screen; None where it says nothing."""
        text = self.credentials.mask(str(said)[: 4 * PROGRESS_CHARS]) if said is not None else ""
        return "".join(char if char.isprintable() else " " for char in text)[:PROGRESS_CHARS].strip() or None

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, max_bytes: int) -> Reply:
        signed = self.credentials.sign(self.auth, method, url, headers, body)
        return self.client.fetch(method, signed.url, headers=signed.headers, body=body, max_bytes=max_bytes)


def host_of(url: str) -> str:
    """HOST, or HOST:PORT where a port is written."""
    return urlsplit(url).netloc.lower()
