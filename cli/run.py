"""`sluiceway run`: a job through the deployed state machine, in the embedded engine, on this machine.

Knows the order of things: everything is checked before anything starts, and what was started is taken down whatever
happens. Refuses to know how the engine works inside and how a view is drawn.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.exits import Exit, of_job
from cli.jobs import JobsClient, JobView, Submitted
from cli.load import Loaded, load
from cli.signals import terminated_as_interrupt
from cli.view import JobProgress, print_outcome
from cli.watch import JobLostError, Watch
from infra.settings import Settings, split_assignments
from sluiceway.errors import InvalidJobError, JobError
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.states import FileState, JobState

if TYPE_CHECKING:
    from local.engine import Engine

# Somebody looks on: files in flight tell of themselves more often than a deployment would pay for.
PROGRESS_SECONDS = "1"
LANDED = (FileState.STORED.value, FileState.SKIPPED.value)


def run(job: str, landed: Path, allow_source: list[str], assignments: list[str], *, as_json: bool) -> Exit:
    """Checks, runs, shows, and returns the exit code."""
    try:
        loaded = load(job)
        settings = _settings(assignments, allow_source, loaded)
    except (JobError, ValueError) as error:
        return _refuse(job, error, as_json=as_json)
    with terminated_as_interrupt():
        return _run(loaded, landed, settings, as_json=as_json)


def _run(loaded: Loaded, landed: Path, settings: Mapping[str, str], *, as_json: bool) -> Exit:
    # Here, not above: moto and CDK take seconds to import, and a wrong job needs neither.
    from local.engine import Engine

    landed.mkdir(parents=True, exist_ok=True)
    with JobProgress() as progress:
        progress.note(f"{loaded.job_id}: setting up the engine")
        with Engine(landed.resolve(), settings=settings) as engine:
            jobs = _jobs_client(engine)
            for bucket in loaded.buckets - {engine.outputs["LandingBucket"]}:
                jobs.s3.create_bucket(Bucket=bucket)
            started = time.monotonic()
            view, interrupted = _follow(loaded, jobs, progress)
            seconds = time.monotonic() - started
            outputs = landed / jobs.jobs_bucket / jobs.outputs_prefix(view.job_id)
            progress.stop()
            _tell(view, seconds, outputs, jobs, as_json=as_json)
    return Exit.INTERRUPTED if interrupted else of_job(view.state, (view.error or {}).get("type"))


def _follow(loaded: Loaded, jobs: JobsClient, progress: JobProgress) -> tuple[JobView, bool]:
    """The job's last view, and whether it was interrupted: the first Ctrl-C cancels it and waits for its end."""
    submitted = jobs.submit(loaded.submittable(jobs))
    try:
        return _show_until_end(submitted, jobs, progress), False
    except KeyboardInterrupt:
        progress.note(f"{loaded.job_id}: cancelling; Ctrl-C once more leaves at once")
        jobs.cancel(submitted)
        return _show_until_end(submitted, jobs, progress), True


def _show_until_end(submitted: Submitted, jobs: JobsClient, progress: JobProgress) -> JobView:
    view = JobView(submitted.job_id, JobState.FAILED, submitted.execution, None, None, Counts())
    try:
        for view in Watch(jobs).follow(submitted):
            progress.show(view)
    except JobLostError as error:
        return replace(view, state=JobState.FAILED, error={"type": "JobLostError", "message": str(error)})
    return view


def outcome(view: JobView, seconds: float, outputs: Path) -> dict[str, Any]:
    """The object that `--json` prints. `cancelled` and `error` are there when there are any."""
    files = {state: count for state, count in view.counts.files.items() if count or state != "cancelled"}
    return {
        "job_id": view.job_id,
        "status": view.state.value,
        "files": files,
        "bytes": view.counts.bytes,
        "seconds": round(seconds, 3),
        "outputs": str(outputs),
        **({"error": dict(view.error)} if view.error else {}),
    }


def _tell(view: JobView, seconds: float, outputs: Path, jobs: JobsClient, *, as_json: bool) -> None:
    told = outcome(view, seconds, outputs)
    if as_json:
        print(json.dumps(told), flush=True)
        return
    problems = (line for line in jobs.read_report(view.job_id) if line["status"] not in LANDED)
    print_outcome(told, problems, view.error)


def _refuse(job: str, error: JobError | ValueError, *, as_json: bool) -> Exit:
    """Tells every mistake, one a line; nothing was started."""
    if isinstance(error, InvalidJobError):
        lines = [str(mistake) for mistake in error.mistakes]
    else:
        lines = str(error).splitlines()
    about = job if isinstance(error, JobError) else "--set"
    print(
        f"Error: {about} is not valid; nothing was started.",
        *(f"  {line}" for line in lines),
        sep="\n",
        file=sys.stderr,
    )
    if as_json:
        kind = error.type if isinstance(error, JobError) else "InvalidSettingError"
        print(json.dumps({"job_id": None, "status": "INVALID", "error": {"type": kind, "message": "; ".join(lines)}}))
    return Exit.INVALID


def _settings(assignments: list[str], allow_source: list[str], loaded: Loaded) -> dict[str, str]:
    """The run's settings as text: those given, the hosts allowed, and the buckets the job names. Raises ValueError
    naming each wrong one."""
    given = split_assignments(assignments)
    checked = Settings.parse(given)
    return {
        "progress_seconds": PROGRESS_SECONDS,
        **given,
        "allowed_sources": ",".join(dict.fromkeys([*checked.allowed_sources, *allow_source])),
        "destination_buckets": ",".join(dict.fromkeys([*checked.destination_buckets, *sorted(loaded.buckets)])),
    }


def _jobs_client(engine: Engine) -> JobsClient:
    return JobsClient(
        s3=engine.client("s3"),
        dynamodb=engine.client("dynamodb"),
        stepfunctions=engine.client("stepfunctions"),
        jobs_bucket=engine.outputs["JobsBucket"],
        jobs_table=engine.outputs["JobsTable"],
        state_machine_arn=engine.outputs["StateMachineArn"],
    )
