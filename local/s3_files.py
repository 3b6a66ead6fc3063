"""Keys as paths, and the files under a bucket's folder.

Knows which keys a file can have and which files a key can name. Refuses to know what is said of an object.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from local.s3_errors import S3Error

MAX_KEY_BYTES = 1024  # S3 user guide, "Naming Amazon S3 objects"
MAX_NAME_BYTES = 255  # of one file name, on every common file system


def check_key(key: str) -> None:
    """Raises S3Error KeyTooLongError."""
    if len(key.encode()) > MAX_KEY_BYTES:
        raise S3Error("KeyTooLongError", "Your key is too long", MaxSizeAllowed=MAX_KEY_BYTES)


def is_plain(key: str) -> bool:
    """Whether a file of this path would lie below the bucket's folder, and could be made there if nothing is in the
    way."""
    names = key.split("/")
    return "\0" not in key and all(
        name not in ("", ".", "..") and len(name.encode()) <= MAX_NAME_BYTES for name in names
    )


def files_below(root: Path, folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Each file that a key could name, with its path from `root`. Links to folders are not followed."""
    folders = [folder]
    while folders:
        folder = folders.pop()
        for entry in os.scandir(root / folder):
            if not _is_text(entry.name):
                continue
            path = f"{folder}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif entry.is_file():
                yield path, entry.stat()


def stat_of(path: Path) -> os.stat_result | None:
    """None where there is no file, or something else."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _is_text(name: str) -> bool:
    """Keys are UTF-8. Of other bytes in a name Python makes surrogates, which have no encoding."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
