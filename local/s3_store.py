"""Objects as plain files: `landed/<bucket>/<key>`, their metadata in the hidden folder beside the buckets.

Knows how a finished temporary file becomes an object (by rename, in one transaction with its row, after the conditions
were checked), and how files that a user put or removed by hand are noticed. Refuses to know HTTP, and how a key
becomes a path (s3_files.py).

An own store and not nanio: nanio ignores conditional writes and checksums, takes parts below 5 MiB, copies every
part on Complete and moves 145 MB/s, so that next to nothing of it would have been left behind a layer that adds
the rules.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from local.claim import Claim
from local.folder import in_the_way, no_index
from local.s3_errors import S3Error, bucket_elsewhere, bucket_taken, no_such_bucket, no_such_key, precondition_failed
from local.s3_files import check_key, files_below, is_plain, stat_of
from local.s3_index import Index, ObjectRecord

HIDDEN = ".sluiceway"
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class NewObject:
    """A finished temporary file and what is to be said of it. Fields as in ObjectRecord."""

    file: Path
    etag: str
    headers: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    checksum_type: str = "FULL_OBJECT"
    parts: int = 0


@dataclass(frozen=True, slots=True)
class Conditions:
    """`if_none_match` is "*" or None; `if_match` an ETag, "*" or None."""

    if_none_match: str | None = None
    if_match: str | None = None


class Store:
    """One landed folder, which no other store may have meanwhile. Every method raises S3Error as S3 would. `close()`
    removes all that is temporary. Raises FolderUnusableError (local/folder.py), and of it FolderBusyError."""

    def __init__(self, landed: Path) -> None:
        self.root = landed
        self.hidden = landed / HIDDEN
        self._private: set[str] = set()
        try:
            (self.hidden / "odd").mkdir(parents=True, exist_ok=True)
            self._claim = Claim(landed, self.hidden / "engine.lock")
            self._open(self.hidden / "objects.sqlite")
        except OSError as error:
            raise in_the_way(Path(error.filename or self.hidden), error) from error

    def _open(self, index: Path) -> None:
        try:
            for left in self.hidden.glob("scratch-*"):  # by engines that were killed
                shutil.rmtree(left, ignore_errors=True)
            self.scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=self.hidden))
            self._index = Index(index)
            self.reconcile()
        except BaseException as error:
            self._claim.close()
            if isinstance(error, sqlite3.DatabaseError):
                raise no_index(index, error) from error
            raise

    def close(self) -> None:
        self._index.close()
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._claim.close()

    # buckets

    def buckets(self) -> list[tuple[str, float]]:
        """Name and creation time."""
        found = [entry for entry in os.scandir(self.root) if entry.is_dir() and _BUCKET_NAME.fullmatch(entry.name)]
        return sorted((entry.name, entry.stat().st_ctime) for entry in found)

    def has_bucket(self, bucket: str) -> bool:
        return bool(_BUCKET_NAME.fullmatch(bucket)) and (self.root / bucket).is_dir()

    def create_bucket(self, bucket: str, *, private: bool = False) -> None:
        """What lies in a `private` one no other user of the machine may read."""
        if not _BUCKET_NAME.fullmatch(bucket):
            raise S3Error("InvalidBucketName", "The specified bucket is not valid.", BucketName=bucket)
        try:
            (self.root / bucket).mkdir(exist_ok=True)
        except FileExistsError:
            raise bucket_taken(self.root / bucket) from None
        # An object becomes visible by a rename, and none leads from one file system to another.
        if (self.root / bucket).stat().st_dev != self.scratch.stat().st_dev:
            raise bucket_elsewhere(self.root / bucket)
        if private:
            self._private.add(bucket)
            (self.root / bucket).chmod(0o700)
        with tempfile.TemporaryFile(dir=self.root / bucket):
            pass  # where none can be made no object can: told now and not at the end of the first file

    def delete_bucket(self, bucket: str) -> None:
        self.need_bucket(bucket)
        with self._index.transaction():
            if not self._index.is_empty(bucket) or any(files for *_, files in os.walk(self.root / bucket)):
                raise S3Error("BucketNotEmpty", "The bucket you tried to delete is not empty", BucketName=bucket)
            shutil.rmtree(self.root / bucket)

    def need_bucket(self, bucket: str) -> None:
        if not self.has_bucket(bucket):
            raise no_such_bucket(bucket)

    # objects

    def new_file(self) -> Path:
        """An empty temporary file on the file system of the objects. It may become one, and so has the mode of any
        file its user makes, where those of `tempfile` are for nobody else."""
        path = self.scratch / uuid.uuid4().hex
        path.touch(exist_ok=False)
        return path

    def head(self, bucket: str, key: str) -> ObjectRecord:
        record, file = self.open(bucket, key)
        file.close()
        return record

    def open(self, bucket: str, key: str) -> tuple[ObjectRecord, BinaryIO]:
        """The record and the file it describes; the caller closes it."""
        self.need_bucket(bucket)
        with self._index.transaction():
            record = self._find(bucket, key)
            if record is not None:
                return record, open(self.root / record.path, "rb")
        raise no_such_key(key)

    def check(self, bucket: str, key: str, conditions: Conditions) -> None:
        """Raises PreconditionFailed, or NoSuchKey for If-Match on nothing: what `commit` would find now."""
        if conditions == Conditions():
            return
        self.need_bucket(bucket)
        with self._index.transaction():
            current = self._find(bucket, key)
        _judge(current, key, conditions)

    def commit(self, bucket: str, key: str, new: NewObject, conditions: Conditions) -> ObjectRecord:
        """The temporary file becomes the object, whole or not at all."""
        self.need_bucket(bucket)
        check_key(key)
        path, current = None, None
        try:
            with self._index.transaction():
                current = self._find(bucket, key)
                _judge(current, key, conditions)
                stat = new.file.stat()
                path = self._move(new.file, bucket, key)
                if current is not None and current.path != path:
                    self._unlink(current)
                record = ObjectRecord(
                    bucket, key, path, stat.st_size, stat.st_mtime_ns, time.time(), new.etag, new.headers, new.tags,
                    new.checksums, new.checksum_type, new.parts,
                )  # fmt: skip
                self._index.put(record)
        except OSError:  # no space for the row
            if path is not None and current is None:
                (self.root / path).unlink(missing_ok=True)
            raise
        return record

    def delete(self, bucket: str, key: str) -> None:
        self.need_bucket(bucket)
        with self._index.transaction():
            record = self._find(bucket, key)
            if record is not None:
                self._unlink(record)
                self._index.delete(bucket, key)

    def update(self, bucket: str, key: str, change: Callable[[ObjectRecord], ObjectRecord]) -> None:
        """Replaces what is said of an object; the bytes stay."""
        self.need_bucket(bucket)
        with self._index.transaction():
            record = self._find(bucket, key)
            if record is not None:
                self._index.put(change(record))
                return
        raise no_such_key(key)

    @property
    def index(self) -> Index:
        return self._index

    # files that came, went or changed by hand

    def _find(self, bucket: str, key: str) -> ObjectRecord | None:
        """The row of the key, in line with the file. Within a transaction."""
        record = self._index.get(bucket, key)
        if record is None and not is_plain(key):
            return None
        path = record.path if record else f"{bucket}/{key}"
        stat = stat_of(self.root / path)
        if stat is None:
            self._index.delete(bucket, key)
            return None
        if record is None or (stat.st_size, stat.st_mtime_ns) != (record.size, record.mtime_ns):
            record = ObjectRecord.of_file(bucket, key, path, stat)
            self._index.put(record)
        return record

    def reconcile(self) -> None:
        """Brings the rows in line with the files on disk."""
        for bucket, _ in self.buckets():
            with self._index.transaction():
                known = {record.path: record for record in self._index.all_of(bucket)}
                for path, stat in files_below(self.root, bucket):
                    record = known.pop(path, None)
                    if record is None or (stat.st_size, stat.st_mtime_ns) != (record.size, record.mtime_ns):
                        key = record.key if record else path[len(bucket) + 1 :]
                        self._index.put(ObjectRecord.of_file(bucket, key, path, stat))
                for record in known.values():
                    if not (self.root / record.path).is_file():
                        self._index.delete(bucket, record.key)

    # paths

    def _move(self, file: Path, bucket: str, key: str) -> str:
        """Renames into place; a key that cannot be a path here goes to the hidden folder under its hash."""
        if bucket in self._private:
            file.chmod(0o600)
        if is_plain(key):
            path = f"{bucket}/{key}"
            try:
                (self.root / path).parent.mkdir(parents=True, exist_ok=True)
                self._clear_empty_folder(self.root / path)
                os.replace(file, self.root / path)
                return path
            except (NotADirectoryError, FileExistsError, IsADirectoryError):
                pass  # a file is where a folder would be, or a folder where the file would be
        path = f"{HIDDEN}/odd/{bucket}/{hashlib.sha256(key.encode()).hexdigest()}"
        (self.root / path).parent.mkdir(exist_ok=True)
        os.replace(file, self.root / path)
        return path

    def _clear_empty_folder(self, path: Path) -> None:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()

    def _unlink(self, record: ObjectRecord) -> None:
        path = self.root / record.path
        path.unlink(missing_ok=True)
        top = self.root / record.bucket
        for folder in path.parents:
            if top not in folder.parents or any(folder.iterdir()):
                return
            folder.rmdir()


def _judge(current: ObjectRecord | None, key: str, conditions: Conditions) -> None:
    if conditions.if_none_match == "*" and current is not None:
        raise precondition_failed("If-None-Match")
    if conditions.if_match is not None:
        if current is None:
            raise no_such_key(key)
        if conditions.if_match not in ("*", current.etag):
            raise precondition_failed("If-Match")
