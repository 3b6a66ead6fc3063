"""Reads secrets from AWS Secrets Manager.

Knows that a job may only name secrets under the prefix of this deployment, and that private keys lie in a folder of
their own there, closed to functions that read untrusted bytes. Refuses to keep or show a value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from sluiceway.errors import PolicyError, SecretError
from sluiceway.redact import remember_header

# Behind the prefix. infra/permissions.py closes it by the roles; here it is closed with a clear word.
KEYS = "keys/"


@dataclass(frozen=True, slots=True)
class Secrets:
    """`client` is a botocore client for `secretsmanager`; `reads_keys` says whether this function may read keys."""

    client: Any
    prefix: str
    reads_keys: bool = False

    def headers(self, name: str) -> Mapping[str, str]:
        """The HTTP headers a secret holds as a JSON object of names and values. Raises PolicyError for a name
        outside the prefix, SecretError for a secret that cannot be read or holds something else."""
        headers = _parse_headers(name, self.text(name))
        for value in headers.values():
            remember_header(value)
        return headers

    def text(self, name: str) -> str:
        """A secret as it stands. Raises PolicyError for a name outside the prefix, SecretError for one that cannot be
        read."""
        if not name.startswith(self.prefix):
            raise PolicyError(f"secret {name!r} is outside {self.prefix!r}, the only names this deployment may read")
        if name.startswith(self.prefix + KEYS) and not self.reads_keys:
            raise PolicyError(f"secret {name!r} is a key by its name: functions that move files may not read it")
        try:
            return str(self.client.get_secret_value(SecretId=name)["SecretString"])
        except ClientError as error:
            raise SecretError(f"secret {name!r} cannot be read: {error.response['Error']['Code']}") from error
        except KeyError:
            raise SecretError(f"secret {name!r} holds bytes; expected text") from None

    def text_of_key(self, name: str) -> str:
        """As `text`, of a secret that holds a private key. Raises PolicyError too where it lies among other secrets."""
        if not name.startswith(self.prefix + KEYS):
            raise PolicyError(
                f"secret {name!r} holds a private key: expected a name under {self.prefix + KEYS!r}, which functions "
                "that move files may not read"
            )
        return self.text(name)


def _parse_headers(name: str, text: str) -> Mapping[str, str]:
    # The parser's own message quotes the document, so it is not passed on.
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise SecretError(f"secret {name!r} is not a JSON object of header names and values")
    return value
