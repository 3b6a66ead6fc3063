"""Says why nothing was started, every mistake on a line of its own.

Knows the errors of jobs and settings. Refuses to know which command was given.
"""

from __future__ import annotations

import json
import sys

from cli.exits import Exit
from sluiceway.errors import DuplicateTargetError, InvalidJobError, JobError
from sluiceway.spec.mistakes import without_secrets


def refuse(job: str, error: JobError | ValueError, *, as_json: bool) -> Exit:
    """`job` names what a JobError is about, unless all its mistakes are one option's; any other ValueError is about the
    settings given with --set."""
    if isinstance(error, InvalidJobError):
        lines = [str(mistake) for mistake in error.mistakes]
    elif isinstance(error, DuplicateTargetError):
        lines = list(error.pairs)
    else:
        lines = str(error).splitlines()
    print(
        f"Error: {_about(job, error)} is not valid; nothing was started.",
        *(f"  {line}" for line in lines),
        sep="\n",
        file=sys.stderr,
    )
    if as_json:
        kind = error.type if isinstance(error, JobError) else "InvalidSettingError"
        print(json.dumps({"job_id": None, "status": "INVALID", "error": {"type": kind, "message": "; ".join(lines)}}))
    return Exit.INVALID


def _about(job: str, error: JobError | ValueError) -> str:
    """A job may be given as a link, which is shown without its secrets, or by mistake as what stands in one."""
    if not isinstance(error, JobError):
        return "--set"
    places = {mistake.path for mistake in error.mistakes} if isinstance(error, InvalidJobError) else set()
    if len(places) == 1 and next(iter(places)).startswith("--"):
        return places.pop()
    if "\n" in job:
        return "JOB"
    return without_secrets(job) if "://" in job else job
