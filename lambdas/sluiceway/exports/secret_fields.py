"""The fields of the secrets that requests are authorised with, and no secret in any text.

Knows how a secret is written: a JSON object, or a text where one field will do. Has what it
reads kept in mind, so that `mask` can take it out of what a server echoes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluiceway.aws.secrets import Secrets
from sluiceway.errors import SecretError
from sluiceway.redact import redact_all, remember_secret

# They stand beside secrets and are none: a text that lost them would tell nobody whose they were.
NOT_SECRET = ("client_id", "username", "access_key_id", "kid", "alg")


@dataclass(slots=True)
class SecretFields:
    secrets: Secrets

    def texts(self, name: str, *fields: str) -> dict[str, str]:
        """The fields of the secret; where it must have one, a text alone will do. Raises SecretError, and PolicyError
        for a name that this function may not read."""
        return {each: str(value) for each, value in self._parse(name, self.secrets.text(name), fields).items()}

    def of_key(self, name: str, *fields: str) -> dict[str, Any]:
        """The fields of a secret that holds a private key, as `texts` does; the key may be an object. Raises
        PolicyError for a name that functions which move files could read."""
        return self._parse(name, self.secrets.text_of_key(name), fields)

    def note(self, secret: str) -> str:
        """Keeps a secret in mind, for `mask`."""
        return remember_secret(secret)

    def mask(self, text: str) -> str:
        """The text without any secret used so far, and with its URLs redacted."""
        return redact_all(text)

    def _parse(self, name: str, text: str, fields: tuple[str, ...]) -> dict[str, Any]:
        # The parser's own message quotes the document, so it is not passed on.
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, Mapping):
            value = {fields[0]: text.strip()} if len(fields) == 1 else {}
        if not all(value.get(each) for each in fields):
            raise SecretError(f"secret {name!r} does not hold {', '.join(fields)}")
        for each, held in value.items():
            if isinstance(held, str) and each not in NOT_SECRET:
                self.note(held)
        return dict(value)
