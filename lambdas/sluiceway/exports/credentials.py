"""Puts credentials on a request, and keeps the tokens that some schemes need.

Knows every scheme of `auth` in its plain form, as JSON; spec/auth.py says what users may write. A token is kept in
this process alone, until shortly before it expires. Refuses to know how a token is had: an Issuer does. Used by
ProcessFile too: neither Pydantic nor a library that signs is imported.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit, urlunsplit

from sluiceway.exports.secret_fields import SecretFields

Auth = Mapping[str, Any]

# A token is not used in the last seconds of its life: the request has a way to go, and clocks differ.
SPARE_SECONDS = 30.0
# Schemes whose token is issued, and can be had anew.
ISSUED = frozenset({"oauth2", "smart"})


class Issuer(Protocol):
    """Where tokens come from: the endpoint itself (exports/token_endpoint.py), or, for functions that move files, the
    function that may ask it (aws/token_function.py)."""

    def issue(self, auth: Auth, refused: str) -> tuple[str, float, float]:
        """A token, for how many seconds it is good, and how many it is old. `refused` is the `digest_of` one that must
        not come again."""
        ...


@dataclass(frozen=True, slots=True)
class Signed:
    """A request with its credentials on."""

    url: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Token:
    """`since` and `until` in seconds since 1970: when it was issued, and when the next one must be."""

    text: str = ""
    since: float = 0.0
    until: float = 0.0


@dataclass(slots=True)
class Credentials:
    """`now` gives seconds since 1970."""

    secrets: SecretFields
    issuer: Issuer
    now: Callable[[], float] = time.time
    _tokens: dict[str, _Token] = field(default_factory=dict[str, _Token])
    _refused: dict[str, str] = field(default_factory=dict[str, str])
    _lock: Any = field(default_factory=threading.Lock)

    def sign(self, auth: Auth, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Signed:
        """Raises SecretError, PolicyError for a secret outside the prefix, and what the Issuer does."""
        put = dict(headers)
        match auth["type"]:
            case "basic":
                secret = self.secrets.texts(auth["secret"], "username", "password")
                pair = f"{secret['username']}:{secret['password']}".encode()
                put["Authorization"] = f"Basic {self.note(base64.b64encode(pair).decode())}"
            case "bearer":
                put["Authorization"] = f"Bearer {self.secrets.texts(auth['secret'], 'token')['token']}"
            case "api-key":
                key = self.secrets.texts(auth["secret"], "key")["key"]
                if auth.get("query"):
                    url = with_parameter(url, auth["query"], key)
                else:
                    put[auth["header"]] = f"{auth.get('prefix', '')}{key}"
            case "oauth2":
                put[auth["header"]] = f"{auth['prefix']}{self.token(auth)[0]}"
            case "smart":
                put["Authorization"] = f"Bearer {self.token(auth)[0]}"
            case "aws-sigv4":
                put = self._sign_v4(auth, method, url, put, body)
        return Signed(url, put)

    def token(self, auth: Auth, refused: str = "") -> tuple[str, float, float]:
        """A token of an ISSUED scheme, for how many seconds to use it, and how many it is old. It is another one than
        that whose digest is `refused`. Raises what the Issuer does."""
        name = _name(auth)
        with self._lock:
            kept = self._tokens.get(name, _Token())
            if refused and digest_of(kept.text) == refused:
                self._refused[name], kept = refused, _Token()
            if self.now() >= kept.until:
                text, seconds, age = self.issuer.issue(auth, self._refused.get(name, ""))
                # Of a short life the last tenth is spared, or every request would ask anew.
                now, spare = self.now(), min(SPARE_SECONDS, seconds / 10)
                kept = _Token(self.note(text), now - age, now + seconds - spare)
                self._tokens[name] = kept
            now = self.now()
            return kept.text, max(0.0, kept.until - now), now - kept.since

    def renew(self, auth: Auth, since: float) -> bool:
        """Forgets the token that a request begun at `since` was refused with, unless another thread has done so; tells
        whether another can be had."""
        name = _name(auth)
        with self._lock:
            kept = self._tokens.get(name)
            if kept is not None and kept.since <= since:
                self._refused[name] = digest_of(self._tokens.pop(name).text)
        return auth["type"] in ISSUED

    def note(self, secret: str) -> str:
        """Keeps a secret in mind, for `mask`."""
        return self.secrets.note(secret)

    def mask(self, text: str) -> str:
        """The text without any secret used so far, and with its URLs redacted."""
        return self.secrets.mask(text)

    def _sign_v4(
        self, auth: Auth, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials as Keys

        secret = self.secrets.texts(auth["secret"], "access_key_id", "secret_access_key")
        keys = Keys(secret["access_key_id"], secret["secret_access_key"], secret.get("session_token"))
        request = AWSRequest(method, url, headers=headers, data=body or b"")
        SigV4Auth(keys, auth["service"], auth["region"]).add_auth(request)
        return dict(request.headers.items())


def digest_of(token: str) -> str:
    """Tells a token without telling it."""
    return hashlib.sha256(token.encode()).hexdigest()


def with_parameter(url: str, name: str, value: str) -> str:
    """The URL with a query parameter set, in place of one of that name."""
    parts = urlsplit(url)
    kept = [pair for pair in parts.query.split("&") if pair and pair.partition("=")[0] != urlencode({name: ""})[:-1]]
    return urlunsplit(parts._replace(query="&".join([*kept, urlencode({name: value})])))


def _name(auth: Auth) -> str:
    return json.dumps(auth, sort_keys=True)
