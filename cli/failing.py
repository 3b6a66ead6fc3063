"""Says why a command has no answer: a line on stderr and, with --json, the one object on stdout.

Knows the shape of that object, which `refuse` and `run` share. Refuses to know what went wrong.
"""

from __future__ import annotations

import json
import sys

from cli.exits import Exit

STATUS = {Exit.INVALID: "INVALID", Exit.JOB: "FAILED", Exit.UNAVAILABLE: "UNAVAILABLE", Exit.INTERRUPTED: "INTERRUPTED"}


def fail(code: Exit, kind: str, message: str, *, job_id: str | None, as_json: bool) -> Exit:
    """`kind` is the name of the error. Returns `code`, one of STATUS."""
    print(f"Error: {message}", file=sys.stderr)
    tell_failure(code, kind, message, job_id=job_id, as_json=as_json)
    return code


def tell_failure(code: Exit, kind: str, message: str, *, job_id: str | None = None, as_json: bool) -> None:
    """As `fail`, where people have been told."""
    if as_json:
        error = {"type": kind, "message": message}
        print(json.dumps({"job_id": job_id, "status": STATUS[code], "error": error}), flush=True)
