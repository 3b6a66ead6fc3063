"""The embedded engine as commands start it: what is said meanwhile, and what must be mended where it cannot start.

Knows the engine's own reasons. Refuses to know what the engine is used for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cli.arguments import Secrets
from cli.view import JobProgress
from sluiceway.errors import FieldError, InvalidJobError

if TYPE_CHECKING:
    from local.engine import Engine

# Somebody looks on: files in flight tell of themselves more often than a deployment would pay for.
PROGRESS_SECONDS = "1"
# A full disk still makes files, but takes nothing into them. What a small job and its log need themselves.
PROBE_BYTES = 1024**2


def make_folder(landed: Path) -> None:
    """Raises InvalidJobError where nothing can land there."""
    try:
        landed.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=landed) as file:
            file.write(bytes(PROBE_BYTES))
    except OSError as error:
        found = f"{str(landed)!r} ({error.strerror})"
        raise InvalidJobError([FieldError("--landed", found, "a folder that can be made and written to")]) from error


@contextmanager
def running_engine(
    landed: Path, settings: Mapping[str, str], secrets: Secrets | None, progress: JobProgress, *, port: int = 0
) -> Iterator[Engine]:
    """Raises InvalidJobError where the folder cannot be used or no job can be put there, for want of space or of a
    permission, and what Engine raises otherwise."""
    progress.doing("setting up the engine")
    # Here, not above: moto and CDK take seconds to import, and a wrong argument needs neither.
    from botocore.exceptions import ClientError

    from local.engine import Engine
    from local.folder import FolderUnusableError
    from local.s3_errors import DENIED, FULL, TAKEN

    expected = {
        DENIED: "a folder whose every part can be made and written to",
        FULL: "a folder with space for the job",
        TAKEN: "a folder, or nothing yet, for each bucket",
    }

    def on_step(step: str) -> None:
        progress.doing(f"setting up the engine: {step}")

    with ExitStack() as stack:
        try:
            engine = Engine(landed.resolve(), settings=settings, secrets=secrets, port=port, on_step=on_step)
            stack.enter_context(engine)
        except FolderUnusableError as error:
            raise InvalidJobError([FieldError("--landed", str(error), error.expected)]) from error
        try:
            yield engine
        except ClientError as error:
            said = error.response["Error"]
            if said.get("Code") not in expected:
                raise
            mistake = FieldError("--landed", said["Message"], expected[said["Code"]])
            raise InvalidJobError([mistake]) from error
