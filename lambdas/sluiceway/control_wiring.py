"""What the control functions work with beyond wiring.py: private keys, and tokens asked for at the endpoint itself.

Never imported by a function that moves files: neither the right nor the library is theirs.
"""

from __future__ import annotations

import os
from functools import cache, cached_property
from typing import TYPE_CHECKING

from sluiceway.aws import clients
from sluiceway.aws.secrets import Secrets
from sluiceway.config import Config
from sluiceway.wiring import Services

if TYPE_CHECKING:
    from sluiceway.exports.credentials import Issuer


class ControlServices(Services):
    @cached_property
    def secrets(self) -> Secrets:
        return Secrets(clients.secretsmanager(), self.config.secret_prefix, reads_keys=True)

    @cached_property
    def issuer(self) -> Issuer:
        from sluiceway.exports.token_endpoint import TokenEndpoint

        return TokenEndpoint(self.secret_fields, self.source)


@cache
def services() -> ControlServices:
    """From the environment of this function."""
    return ControlServices(Config.from_env(os.environ))
