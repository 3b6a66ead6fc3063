"""Asks a token endpoint for an access token, by the client's secret or by an assertion signed with its private key.

Knows OAuth 2.0 (RFC 6749) and SMART Backend Services. Used by control functions alone: whoever moves files has no
library to sign with and may not read a key, and asks one of them instead (aws/token_function.py).
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from sluiceway.errors import CredentialsRefusedError, SecretError
from sluiceway.exports.credentials import Auth
from sluiceway.exports.secret_fields import SecretFields
from sluiceway.redact import redact_url
from sluiceway.source.client import Client, Reply

# RFC 6749, 5.1: expires_in is recommended, not required; SMART Backend Services: 300 s at most.
DEFAULT_SECONDS = 300.0
# SMART App Launch, "Authentication JWT Claims": no more than five minutes ahead.
ASSERTION_SECONDS = 240
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# SMART App Launch, "Signature algorithms": clients support both.
SIGNATURES = ("ES384", "RS384")
MAX_REPLY_BYTES = 1024 * 1024

Form = dict[str, str]


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """`now` gives seconds since 1970."""

    secrets: SecretFields
    client: Client
    now: Callable[[], float] = time.time

    def issue(self, auth: Auth, refused: str = "") -> tuple[str, float, float]:
        """A new token, the seconds it lives, and 0; `refused` is not needed, for every token is new. Raises
        SecretError, PolicyError, CredentialsRefusedError where no token is given, and what the request for one
        raises."""
        url, headers, form = self._smart_form(auth) if auth["type"] == "smart" else self._oauth2_form(auth)
        headers |= {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        reply = self.client.fetch(
            "POST", url, headers=headers, body=urlencode(form).encode(), max_bytes=MAX_REPLY_BYTES
        )
        said = _object(reply)
        token = said.get("access_token")
        if reply.status != 200 or not isinstance(token, str) or not token:
            # RFC 6749, 5.2. Nothing else of the reply is shown: it may be a token in an odd place.
            why = f"{said.get('error', 'no access_token')} {said.get('error_description', '')}".strip()
            why = self.secrets.mask(why)[:500]
            raise CredentialsRefusedError(f"{redact_url(url)}: no token, status {reply.status}: {why}")
        try:
            seconds = float(said.get("expires_in", DEFAULT_SECONDS))
        except (TypeError, ValueError):
            seconds = DEFAULT_SECONDS
        return token, seconds, 0.0

    def _oauth2_form(self, auth: Auth) -> tuple[str, dict[str, str], Form]:
        refresh = auth["grant"] == "refresh_token"
        secret = self.secrets.texts(
            auth["secret"], "client_id", "client_secret", *(["refresh_token"] if refresh else [])
        )
        form = {"grant_type": auth["grant"], **auth["extra"]}
        if refresh:
            form["refresh_token"] = secret["refresh_token"]
        if auth["scopes"]:
            form["scope"] = " ".join(auth["scopes"])
        if auth["client"] == "basic":
            pair = f"{secret['client_id']}:{secret['client_secret']}".encode()
            return auth["token_url"], {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}, form
        form |= {"client_id": secret["client_id"], "client_secret": secret["client_secret"]}
        return auth["token_url"], {}, form

    def _smart_form(self, auth: Auth) -> tuple[str, dict[str, str], Form]:
        form = {
            "grant_type": "client_credentials",
            "scope": " ".join(auth["scopes"]),
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._assertion(auth),
        }
        return auth["token_url"], {}, form

    def _assertion(self, auth: Auth) -> str:
        secret = self.secrets.of_key(auth["secret"], "client_id", "key")
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


def _object(reply: Reply) -> dict[str, Any]:
    try:
        said = json.loads(reply.body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
