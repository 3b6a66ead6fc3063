"""Why a landed folder cannot hold the objects of an engine: what is in the way, and what was expected there.

Knows the words that a person is told. Refuses to know how the folder is used.
"""

from __future__ import annotations

from pathlib import Path


class FolderUnusableError(Exception):
    """The text is what was found, `expected` what should have been there."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found)
        self.expected = expected


def in_the_way(path: Path, error: OSError) -> FolderUnusableError:
    """`path` cannot be made, read or written."""
    return FolderUnusableError(f"{path} ({error.strerror})", "a folder whose every part can be made and written to")


def no_index(file: Path, error: Exception) -> FolderUnusableError:
    """The database of what S3 knows besides an object's bytes. A new one finds the objects, but not their metadata."""
    expected = (
        "a database of the engine's own; move it away, with the files whose names begin as its does, and the engine "
        "makes a new one from the files that have landed"
    )
    return FolderUnusableError(f"{file} ({error})", expected)
