"""DynamoDB transactions that cost what they touch, and writes whose conditions hold.

moto copies the whole table before a transaction, for each of its items, and puts the copy back on failure. With a
transaction a file that is quadratic in files. Here only the items named in the transaction are kept and put back.
And moto looks at a condition, then writes: of two calls at once both may find it true, and a transaction that is put
back would undo its neighbours. Here one call is answered at a time.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

from moto.dynamodb import models, responses
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

from local.patches import Patches


class _CopyWithoutTables:
    """Stands for the module `copy` in moto's models: a table is not copied."""

    @staticmethod
    def deepcopy(value: Any) -> Any:
        return value if isinstance(value, Table) else copy.deepcopy(value)


def install(patches: Patches) -> None:
    backend = models.DynamoDBBackend
    patches.set(models, "copy", _CopyWithoutTables)
    patches.set(backend, "transact_write_items", _transact(backend.transact_write_items))
    patches.set(responses.DynamoHandler, "call_action", _one_at_a_time(responses.DynamoHandler.call_action))


def _one_at_a_time(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    lock = threading.Lock()

    def call_action(self: Any) -> Any:
        with lock:
            return original(self)

    return call_action


def _transact(original: Callable[[Any, list[dict[str, Any]]], None]) -> Callable[[Any, list[dict[str, Any]]], None]:
    def transact_write_items(self: Any, transact_items: list[dict[str, Any]]) -> None:
        kept = [_keep(self, operation) for item in transact_items for operation in item.values()]
        try:
            original(self, transact_items)
        except Exception:
            for put_back in reversed(kept):
                put_back()
            raise

    return transact_write_items


def _keep(backend: Any, operation: dict[str, Any]) -> Callable[[], None]:
    table = backend.tables.get(operation.get("TableName"))
    key = operation.get("Key") or operation.get("Item") or {}
    if table is None or table.hash_key_attr not in key:
        return lambda: None
    hash_key = DynamoType(key[table.hash_key_attr])
    range_key = DynamoType(key[table.range_key_attr]) if table.range_key_attr in key else None
    before = copy.deepcopy(table.get_item(hash_key, range_key))

    def put_back() -> None:
        if before is None:
            table.delete_item(hash_key, range_key)
        elif range_key is not None:
            table.items[hash_key][range_key] = before
        else:
            table.items[hash_key] = before

    return put_back
