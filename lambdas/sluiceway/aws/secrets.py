"""Reads secrets from AWS Secrets Manager.

Knows that a job may only name secrets under the prefix of this deployment. Refuses to keep or show a value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from sluiceway.errors import PolicyError, SecretError


@dataclass(frozen=True, slots=True)
class Secrets:
    """`client` is a botocore client for `secretsmanager`."""

    client: Any
    prefix: str

    def headers(self, name: str) -> Mapping[str, str]:
        """The HTTP headers a secret holds as a JSON object of names and values. Raises PolicyError for a name
        outside the prefix, SecretError for a secret that cannot be read or holds something else."""
        return _parse_headers(name, self.text(name))

    def text(self, name: str) -> str:
        """A secret as it stands. Raises PolicyError for a name outside the prefix, SecretError for one that cannot be
        read."""
        if not name.startswith(self.prefix):
            raise PolicyError(f"secret {name!r} is outside {self.prefix!r}, the only names this deployment may read")
        try:
            return str(self.client.get_secret_value(SecretId=name)["SecretString"])
        except ClientError as error:
            raise SecretError(f"secret {name!r} cannot be read: {error.response['Error']['Code']}") from error
        except KeyError:
            raise SecretError(f"secret {name!r} holds bytes; expected text") from None


def _parse_headers(name: str, text: str) -> Mapping[str, str]:
    # The parser's own message quotes the document, so it is not passed on.
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise SecretError(f"secret {name!r} is not a JSON object of header names and values")
    return value
