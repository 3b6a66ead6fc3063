"""The embedded engine as commands start it: what is said meanwhile, and what must be mended where it cannot start.

Knows the engine's own reasons. Refuses to know what the engine is used for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cli.view import JobProgress
from sluiceway.errors import FieldError, InvalidJobError

if TYPE_CHECKING:
    from local.engine import Engine


@contextmanager
def running_engine(
    landed: Path, settings: Mapping[str, str], secrets: Path | None, progress: JobProgress, *, port: int = 0
) -> Iterator[Engine]:
    """Raises InvalidJobError where another engine has the folder or no job can be put there for want of space, and
    what Engine raises otherwise."""
    progress.doing("setting up the engine")
    # Here, not above: moto and CDK take seconds to import, and a wrong argument needs neither.
    from botocore.exceptions import ClientError

    from local.claim import FolderBusyError
    from local.engine import Engine
    from local.s3_errors import FULL

    def on_step(step: str) -> None:
        progress.doing(f"setting up the engine: {step}")

    with ExitStack() as stack:
        try:
            engine = Engine(landed.resolve(), settings=settings, secrets=secrets, port=port, on_step=on_step)
            stack.enter_context(engine)
        except FolderBusyError as error:
            mistake = FieldError("--landed", str(error), "a folder that no other engine uses meanwhile")
            raise InvalidJobError([mistake]) from error
        try:
            yield engine
        except ClientError as error:
            said = error.response["Error"]
            if said.get("Code") != FULL:
                raise
            raise InvalidJobError(
                [FieldError("--landed", said["Message"], "a folder with space for the job")]
            ) from error
