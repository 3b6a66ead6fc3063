"""Puts together, once a process, what the functions work with.

Knows which adapter is made from which setting. Nothing is made before it is first used, so each function pays only
for what it needs. Functions that move files use this as it stands; control_wiring.py has what only the others may do.
"""

from __future__ import annotations

import os
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from sluiceway.aws import clients
from sluiceway.aws.file_table import FileTable
from sluiceway.aws.table import JobTable
from sluiceway.config import Config
from sluiceway.source.client import Client
from sluiceway.source.policy import UrlPolicy

if TYPE_CHECKING:
    from sluiceway.aws.callback_table import CallbackTable
    from sluiceway.aws.events import EventBus
    from sluiceway.aws.executions import Executions
    from sluiceway.aws.functions import Functions
    from sluiceway.aws.secrets import Secrets
    from sluiceway.aws.segment_table import SegmentTable
    from sluiceway.aws.slots import SlotTable
    from sluiceway.aws.tasks import TaskTokens
    from sluiceway.exports.credentials import Credentials, Issuer
    from sluiceway.exports.secret_fields import SecretFields


class Services:
    """What a use case is given. Tests make one from a Config of their own."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @cached_property
    def jobs(self) -> JobTable:
        return JobTable(clients.dynamodb(), self.config.jobs_table)

    @cached_property
    def files(self) -> FileTable:
        return FileTable(clients.dynamodb(), self.config.jobs_table)

    @cached_property
    def slots(self) -> SlotTable:
        from sluiceway.aws.slots import SlotTable

        return SlotTable(clients.dynamodb(), self.config.jobs_table)

    @cached_property
    def segments(self) -> SegmentTable:
        from sluiceway.aws.segment_table import SegmentTable

        return SegmentTable(clients.dynamodb(), self.config.jobs_table)

    @cached_property
    def s3(self) -> Any:
        return clients.s3()

    @cached_property
    def bus(self) -> EventBus:
        from sluiceway.aws.events import EventBus

        return EventBus(clients.events(), self.config.event_bus)

    @cached_property
    def secrets(self) -> Secrets:
        from sluiceway.aws.secrets import Secrets

        return Secrets(clients.secretsmanager(), self.config.secret_prefix)

    @cached_property
    def callbacks(self) -> CallbackTable:
        from sluiceway.aws.callback_table import CallbackTable

        return CallbackTable(clients.dynamodb(), self.config.jobs_table)

    @cached_property
    def secret_fields(self) -> SecretFields:
        from sluiceway.exports.secret_fields import SecretFields

        return SecretFields(self.secrets)

    @cached_property
    def issuer(self) -> Issuer:
        from sluiceway.aws.token_function import TokenFunction

        return TokenFunction(clients.functions(), self.config.token_function)

    @cached_property
    def credentials(self) -> Credentials:
        from sluiceway.exports.credentials import Credentials

        return Credentials(self.secret_fields, self.issuer)

    @cached_property
    def executions(self) -> Executions:
        from sluiceway.aws.executions import Executions

        return Executions(clients.stepfunctions())

    @cached_property
    def tokens(self) -> TaskTokens:
        from sluiceway.aws.tasks import TaskTokens

        return TaskTokens(clients.stepfunctions())

    @cached_property
    def functions(self) -> Functions:
        from sluiceway.aws.functions import Functions

        return Functions(clients.functions())

    @cached_property
    def source(self) -> Client:
        return Client(UrlPolicy(self.config.allowed_sources, only_hosts=self.config.only_hosts))


@cache
def services() -> Services:
    """From the environment of this function."""
    return Services(Config.from_env(os.environ))
