"""What S3 knows of an object besides its bytes: one SQLite row a key.

Knows rows, listing order (UTF-8 bytes) and common prefixes. Refuses to know where the bytes lie or who may write
them: the caller holds `transaction()` while it changes both the file and the row.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

BUSY_SECONDS = 60.0
_PRIMARY_CODE = 0xFF  # what stands above it in an error's code tells the kind further
_LAST = "\U0010ffff"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, key TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    modified REAL NOT NULL, etag TEXT NOT NULL, details TEXT NOT NULL, PRIMARY KEY (bucket, key)
) WITHOUT ROWID
"""
_COLUMNS = "bucket, key, path, size, mtime_ns, modified, etag, details"


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """`path` is relative to the landed folder; `modified` seconds since the epoch; `etag` without quotes;
    `headers` the stored response headers; `checksums` base64 by algorithm, of type `checksum_type`."""

    bucket: str
    key: str
    path: str
    size: int
    mtime_ns: int
    modified: float
    etag: str
    headers: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    checksum_type: str = "FULL_OBJECT"
    parts: int = 0

    def row(self) -> tuple[object, ...]:
        details = json.dumps([self.headers, self.tags, self.checksums, self.checksum_type, self.parts])
        return (self.bucket, self.key, self.path, self.size, self.mtime_ns, self.modified, self.etag, details)

    @classmethod
    def of_row(cls, row: tuple[object, ...]) -> ObjectRecord:
        return cls(*row[:7], *json.loads(str(row[7])))  # type: ignore[arg-type]

    @classmethod
    def of_file(cls, bucket: str, key: str, path: str, stat: os.stat_result) -> ObjectRecord:
        """A file that did not come through S3: its ETag is made of size and time, like that of an upload in parts."""
        mark = hashlib.md5(f"{stat.st_size}/{stat.st_mtime_ns}".encode(), usedforsecurity=False).hexdigest()
        return cls(bucket, key, path, stat.st_size, stat.st_mtime_ns, stat.st_mtime, f"{mark}-1")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, in key order. `next_start` is what to continue after, None at the end."""

    records: list[ObjectRecord]
    prefixes: list[str]
    next_start: str | None


class Index:
    """The rows in `file`. Raises sqlite3.DatabaseError where that is something else."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._db = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.execute(_SCHEMA)
        except sqlite3.DatabaseError:
            self._db.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Excludes every other transaction on this index. Raises OSError with ENOSPC when the disk is full,
        with EACCES when the database cannot be written."""
        with self._lock, _disk_as_os_error(self._file):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # of some errors SQLite rolls back by itself
                    self._db.execute("ROLLBACK")
                raise

    def get(self, bucket: str, key: str) -> ObjectRecord | None:
        with self._lock:
            cursor = self._db.execute(f"SELECT {_COLUMNS} FROM objects WHERE bucket=? AND key=?", (bucket, key))
            row = cursor.fetchone()
        return ObjectRecord.of_row(row) if row else None

    def put(self, record: ObjectRecord) -> None:
        with self._lock:
            self._db.execute(f"INSERT OR REPLACE INTO objects ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)", record.row())

    def delete(self, bucket: str, key: str) -> None:
        with self._lock:
            self._db.execute("DELETE FROM objects WHERE bucket=? AND key=?", (bucket, key))

    def all_of(self, bucket: str) -> list[ObjectRecord]:
        with self._lock:
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM objects WHERE bucket=?", (bucket,)).fetchall()
        return [ObjectRecord.of_row(row) for row in rows]

    def is_empty(self, bucket: str) -> bool:
        with self._lock:
            return self._db.execute("SELECT 1 FROM objects WHERE bucket=? LIMIT 1", (bucket,)).fetchone() is None

    def list(self, bucket: str, prefix: str, delimiter: str, start_after: str, limit: int) -> Page:
        """At most `limit` records and common prefixes together, all after `start_after`. A page of none has no next."""
        if not limit:
            return Page([], [], None)
        records: list[ObjectRecord] = []
        prefixes: list[str] = []
        after = start_after
        while True:
            batch = self._scan(bucket, prefix, after, limit + 1 - len(records) - len(prefixes))
            for record in batch:
                if len(records) + len(prefixes) == limit:
                    return Page(records, prefixes, after)
                common = _common_prefix(record.key, prefix, delimiter)
                if common is None:
                    records.append(record)
                    after = record.key
                else:
                    prefixes.append(common)
                    after = common + _LAST
                    break
            else:
                return Page(records, prefixes, None)

    def _scan(self, bucket: str, prefix: str, after: str, limit: int) -> Sequence[ObjectRecord]:
        query = f"SELECT {_COLUMNS} FROM objects WHERE bucket=? AND key>? AND key>=? AND key<? ORDER BY key LIMIT ?"
        with self._lock:
            rows = self._db.execute(query, (bucket, after, prefix, prefix + _LAST, limit)).fetchall()
        return [ObjectRecord.of_row(row) for row in rows]


@contextmanager
def _disk_as_os_error(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        if error.sqlite_errorcode & _PRIMARY_CODE == sqlite3.SQLITE_READONLY:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(file)) from error
        raise


def _common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    if not delimiter:
        return None
    at = key.find(delimiter, len(prefix))
    return None if at < 0 else key[: at + len(delimiter)]
