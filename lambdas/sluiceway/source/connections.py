"""urllib3's connections and pools, made to obey the URL policy and to be measured.

Knows how a connection is opened: to an address that the policy checked in that very moment. TLS still verifies the
name. Pools keep at most 10 connections a host, drop those idle for 30 s, and count how often a request waited.
"""

from __future__ import annotations

import socket
import time
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from sluiceway.source.policy import UrlPolicy

CONNECTIONS_PER_HOST = 10
# Shorter than the 60 s after which common servers and balancers close an idle connection without a word.
KEEP_ALIVE_SECONDS = 30.0


def _connect(connection: Any, policy: UrlPolicy) -> socket.socket:
    """Connects to the first checked address that answers. Raises PolicyError, SourceUnreachableError or urllib3's
    connect errors."""
    last: OSError | None = None
    for address in policy.addresses(str(connection.host).strip("[]").lower(), connection.port):
        try:
            # The standard library's, not urllib3's: that one would resolve again. A numeric address does not resolve.
            sock = socket.create_connection((address, connection.port), connection.timeout)
        except OSError as error:
            last = error
            continue
        for option in connection.socket_options or ():
            sock.setsockopt(*option)
        return sock
    if isinstance(last, TimeoutError):
        raise ConnectTimeoutError(connection, f"connecting to {connection.host} timed out") from last
    raise NewConnectionError(connection, f"cannot connect: {last}") from last


def pool_manager(policy: UrlPolicy, *, connections_per_host: int, ca_bundle: str | None) -> PolicyPoolManager:
    """A urllib3 PoolManager whose every connection goes where `policy` allows."""

    class Http(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, policy)

    class Https(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, policy)

    class HttpPool(_MeasuredPool, urllib3.HTTPConnectionPool):
        ConnectionCls = Http

    class HttpsPool(_MeasuredPool, urllib3.HTTPSConnectionPool):
        ConnectionCls = Https

    manager = PolicyPoolManager(
        maxsize=connections_per_host, block=True, retries=False, cert_reqs="CERT_REQUIRED", ca_certs=ca_bundle
    )
    manager.pool_classes_by_scheme = {"http": HttpPool, "https": HttpsPool}
    return manager


class PolicyPoolManager(urllib3.PoolManager):
    """A PoolManager that knows how often a request waited for a free connection."""

    @property
    def waits(self) -> int:
        # The container's own lock-free view would skip pools that are being evicted; a count may miss those.
        return sum(getattr(self.pools.get(key), "waits", 0) for key in self.pools.keys())  # noqa: SIM118


class _MeasuredPool:
    waits = 0

    def _get_conn(self, timeout: float | None = None) -> Any:
        pool: Any = self
        if pool.pool is not None and pool.pool.empty():
            self.waits += 1
        connection = super()._get_conn(timeout)  # type: ignore[misc]
        if time.monotonic() - getattr(connection, "idle_since", time.monotonic()) > KEEP_ALIVE_SECONDS:
            connection.close()
        return connection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)  # type: ignore[misc]
