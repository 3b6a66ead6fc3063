"""Puts credentials on a request, and gets the tokens that some schemes need.

Knows every scheme of `auth` in its plain form, as JSON; spec/auth.py says what users may write. A token is kept in
this process alone, until shortly before it expires. Refuses to write a secret anywhere; `mask` takes those it has
used out of a text. Used by ProcessFile too: neither Pydantic nor a library for tokens is imported before it is needed.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from sluiceway.aws.secrets import Secrets
from sluiceway.errors import CredentialsRefusedError, SecretError
from sluiceway.redact import REDACTED, redact_text, redact_url
from sluiceway.source.client import Client, Reply

Auth = Mapping[str, Any]

# A token is not used in the last seconds of its life: the request has a way to go, and clocks differ.
SPARE_SECONDS = 30.0
# RFC 6749, 5.1: expires_in is recommended, not required; SMART Backend Services: 300 s at most.
DEFAULT_SECONDS = 300.0
# SMART App Launch, "Authentication JWT Claims": no more than five minutes ahead.
ASSERTION_SECONDS = 240
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# SMART App Launch, "Signature algorithms": clients support both.
SIGNATURES = ("ES384", "RS384")
RENEWABLE = frozenset({"oauth2", "smart"})
MAX_REPLY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Signed:
    """A request with its credentials on."""

    url: str
    headers: dict[str, str]


@dataclass(slots=True)
class Credentials:
    """`now` gives seconds since 1970."""

    secrets: Secrets
    client: Client
    now: Callable[[], float] = time.time
    _tokens: dict[str, tuple[str, float, float]] = field(default_factory=dict[str, tuple[str, float, float]])
    _used: set[str] = field(default_factory=set[str])
    _lock: Any = field(default_factory=threading.Lock)

    def sign(self, auth: Auth, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Signed:
        """Raises SecretError, PolicyError for a secret outside the prefix, CredentialsRefusedError where no token is
        given, and what the request for one raises."""
        put = dict(headers)
        match auth["type"]:
            case "basic":
                secret = self._secret(auth, "username", "password")
                pair = f"{secret['username']}:{secret['password']}".encode()
                put["Authorization"] = f"Basic {self.note(base64.b64encode(pair).decode())}"
            case "bearer":
                put["Authorization"] = f"Bearer {self._secret(auth, 'token')['token']}"
            case "api-key":
                key = self._secret(auth, "key")["key"]
                if auth.get("query"):
                    url = with_parameter(url, auth["query"], key)
                else:
                    put[auth["header"]] = f"{auth.get('prefix', '')}{key}"
            case "oauth2":
                put[auth["header"]] = f"{auth['prefix']}{self._token(auth)}"
            case "smart":
                put["Authorization"] = f"Bearer {self._token(auth)}"
            case "aws-sigv4":
                put = self._sign_v4(auth, method, url, put, body)
        return Signed(url, put)

    def renew(self, auth: Auth, since: float) -> bool:
        """Forgets the token that a request begun at `since` was refused with, unless another thread has done so; tells
        whether another can be had."""
        with self._lock:
            if self._tokens.get(_name(auth), ("", 0.0, 0.0))[2] <= since:
                self._tokens.pop(_name(auth), None)
        return auth["type"] in RENEWABLE

    def mask(self, text: str) -> str:
        """The text without any secret used so far, and with its URLs redacted."""
        for secret in sorted(self._used, key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        return redact_text(text)

    def _token(self, auth: Auth) -> str:
        with self._lock:
            token, until, _ = self._tokens.get(_name(auth), ("", 0.0, 0.0))
            if self.now() >= until:
                token, seconds = self._ask_for_token(auth)
                # Of a short life the last tenth is spared, or every request would ask anew.
                until = self.now() + seconds - min(SPARE_SECONDS, seconds / 10)
                self._tokens[_name(auth)] = (token, until, self.now())
            return token

    def _ask_for_token(self, auth: Auth) -> tuple[str, float]:
        url, headers, form = self._smart_form(auth) if auth["type"] == "smart" else self._oauth2_form(auth)
        headers |= {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        reply = self.client.fetch(
            "POST", url, headers=headers, body=urlencode(form).encode(), max_bytes=MAX_REPLY_BYTES
        )
        said = _object(reply)
        token = said.get("access_token")
        if reply.status != 200 or not isinstance(token, str) or not token:
            # RFC 6749, 5.2. Nothing else of the reply is shown: it may be a token in an odd place.
            why = self.mask(f"{said.get('error', 'no access_token')} {said.get('error_description', '')}".strip())
            raise CredentialsRefusedError(f"{redact_url(url)}: no token, status {reply.status}: {why[:500]}")
        try:
            seconds = float(said.get("expires_in", DEFAULT_SECONDS))
        except (TypeError, ValueError):
            seconds = DEFAULT_SECONDS
        return self.note(token), seconds

    def _oauth2_form(self, auth: Auth) -> tuple[str, dict[str, str], dict[str, str]]:
        refresh = auth["grant"] == "refresh_token"
        secret = self._secret(auth, "client_id", "client_secret", *(["refresh_token"] if refresh else []))
        form = {"grant_type": auth["grant"], **auth["extra"]}
        if refresh:
            form["refresh_token"] = secret["refresh_token"]
        if auth["scopes"]:
            form["scope"] = " ".join(auth["scopes"])
        if auth["client"] == "basic":
            pair = f"{secret['client_id']}:{secret['client_secret']}".encode()
            return auth["token_url"], {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}, form
        return (
            auth["token_url"],
            {},
            {**form, "client_id": secret["client_id"], "client_secret": secret["client_secret"]},
        )

    def _smart_form(self, auth: Auth) -> tuple[str, dict[str, str], dict[str, str]]:
        form = {
            "grant_type": "client_credentials",
            "scope": " ".join(auth["scopes"]),
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._assertion(auth),
        }
        return auth["token_url"], {}, form

    def _assertion(self, auth: Auth) -> str:
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import ECKey, RSAKey

        secret = self._secrets_of(auth, "client_id", "key")
        stated = secret["key"]
        try:
            if isinstance(stated, Mapping):
                key = (ECKey if stated.get("kty") == "EC" else RSAKey).import_key(dict(stated))
            else:
                kind = ECKey if "EC PRIVATE" in str(stated) or secret.get("alg") == "ES384" else RSAKey
                key = kind.import_key(str(stated))
            alg = secret.get("alg") or ("ES384" if isinstance(key, ECKey) else "RS384")
            if alg not in SIGNATURES:
                raise SecretError(f"secret {auth['secret']!r}: alg must be {' or '.join(SIGNATURES)}")
            kid = secret.get("kid") or (stated.get("kid") if isinstance(stated, Mapping) else None)
            header = {"alg": alg, "typ": "JWT", **({"kid": kid} if kid else {})}
            client_id, now = secret["client_id"], int(self.now())
            claims = {"iss": client_id, "sub": client_id, "aud": auth["token_url"], "exp": now + ASSERTION_SECONDS,
                      "iat": now, "jti": str(uuid.uuid4())}  # fmt: skip
            return jwt.encode(header, claims, key, algorithms=list(SIGNATURES))
        except (JoseError, ValueError, TypeError) as error:
            # The library's text may quote the key.
            raise SecretError(f"secret {auth['secret']!r} holds no key to sign with: {type(error).__name__}") from None

    def _sign_v4(
        self, auth: Auth, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials as Keys

        secret = self._secret(auth, "access_key_id", "secret_access_key")
        keys = Keys(secret["access_key_id"], secret["secret_access_key"], secret.get("session_token"))
        request = AWSRequest(method, url, headers=headers, data=body or b"")
        SigV4Auth(keys, auth["service"], auth["region"]).add_auth(request)
        return dict(request.headers.items())

    def _secret(self, auth: Auth, *fields: str) -> dict[str, str]:
        """The fields of the secret; where it must have one, a text alone will do. Raises SecretError."""
        return {name: str(value) for name, value in self._secrets_of(auth, *fields).items()}

    def _secrets_of(self, auth: Auth, *fields: str) -> dict[str, Any]:
        text = self.secrets.text(auth["secret"])
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            value = {fields[0]: text.strip()} if len(fields) == 1 else {}
        if not all(value.get(name) for name in fields):
            raise SecretError(f"secret {auth['secret']!r} does not hold {', '.join(fields)}")
        for name, each in value.items():
            if isinstance(each, str) and name not in ("client_id", "username", "access_key_id", "kid", "alg"):
                self.note(each)
        return value

    def note(self, secret: str) -> str:
        """Keeps a secret in mind, for `mask`."""
        # What is very short stands in any text by chance.
        if len(secret) >= 6:
            self._used.add(secret)
        return secret


def with_parameter(url: str, name: str, value: str) -> str:
    """The URL with a query parameter set, in place of one of that name."""
    parts = urlsplit(url)
    kept = [pair for pair in parts.query.split("&") if pair and pair.partition("=")[0] != urlencode({name: ""})[:-1]]
    return urlunsplit(parts._replace(query="&".join([*kept, urlencode({name: value})])))


def _name(auth: Auth) -> str:
    return json.dumps(auth, sort_keys=True)


def _object(reply: Reply) -> dict[str, Any]:
    try:
        said = json.loads(reply.body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
