"""`submit`, `rerun`, `watch`, `report`, `cancel` and `list`: jobs of a stack that is deployed, or of a running engine.

Knows the order of things and what is said. Refuses to know how the stack is found (stack.py) and asked (jobs.py).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from cli.exits import Exit, of_job
from cli.follow import outcome, show_until_end, tell
from cli.jobs import JobsClient, JobView, Submitted
from cli.load import load
from cli.refusal import refuse
from cli.stack import StackError, console_link, open_stack, told_as_stack_error
from cli.stack_options import StackName
from cli.view import JobProgress, print_jobs
from cli.watch import LOOK_SECONDS, Watch
from sluiceway.errors import JobError
from sluiceway.jobs.states import JobState

# A job has its row a second or two after it was submitted, when StartExport starts cold.
APPEAR_SECONDS = 15.0
APPEAR_LOOK_SECONDS = 0.5
# DescribeExecution is throttled at 15 a second for all who watch.
REMOTE_LOOK_SECONDS = 2.0
OUTPUTS = ("report.jsonl", "failed.jsonl", "SHA256SUMS", "summary.json")


class UnknownJobError(Exception):
    """The stack has no job of this id."""


def asked(name: StackName, ask: Callable[[JobsClient], Exit]) -> Exit:
    """Runs `ask` against the stack; what cannot be asked is told on stderr."""
    try:
        with told_as_stack_error(name):
            return ask(open_stack(name))
    except StackError as error:
        print(f"Error: {error}", file=sys.stderr)
        return Exit.UNAVAILABLE
    except UnknownJobError as error:
        print(f"Error: {error}", file=sys.stderr)
        return Exit.INVALID


def submit(job: str, name: StackName, *, job_id: str | None, follow: bool, as_json: bool) -> Exit:
    """The job's id on stdout; the link to the console, for people, on stderr."""
    try:
        loaded = load(job, job_id=job_id)
    except JobError as error:
        return refuse(job, error, as_json=as_json)

    def ask(jobs: JobsClient) -> Exit:
        return _started(jobs.submit(loaded.document, loaded.manifest), jobs, name, follow=follow, as_json=as_json)

    return asked(name, ask)


def rerun(job_id: str, name: StackName, *, follow: bool, as_json: bool) -> Exit:
    def ask(jobs: JobsClient) -> Exit:
        view = _find(jobs, job_id, patience=0)
        if not view.ended:
            print(f"Error: {job_id} is {view.state.value}; it can run again once it has ended", file=sys.stderr)
            return Exit.INVALID
        return _started(jobs.submit_again(job_id), jobs, name, follow=follow, as_json=as_json)

    return asked(name, ask)


def watch(job_id: str, name: StackName, *, as_json: bool) -> Exit:
    def ask(jobs: JobsClient) -> Exit:
        view = _find(jobs, job_id)
        return _follow(Submitted(job_id, view.execution), jobs, name, as_json=as_json)

    return asked(name, ask)


def report(job_id: str, name: StackName, *, download: Path | None, as_json: bool) -> Exit:
    def ask(jobs: JobsClient) -> Exit:
        view = _find(jobs, job_id, patience=0)
        tell(_told(view, jobs), jobs, as_json=as_json)
        if download is not None:
            _download(jobs, job_id, download)
        return _code(view) if view.ended else Exit.OK

    return asked(name, ask)


def cancel(job_id: str, name: StackName, *, wait: bool, as_json: bool) -> Exit:
    def ask(jobs: JobsClient) -> Exit:
        view = _find(jobs, job_id)
        submitted = Submitted(job_id, view.execution)
        if not view.ended:
            jobs.cancel(submitted)
            if wait:
                with JobProgress() as progress:
                    view = show_until_end(submitted, Watch(jobs, _look_seconds(name)), progress)
        state = view.state.value if view.ended else "CANCELLING"
        print(json.dumps({"job_id": job_id, "status": state}) if as_json else f"{job_id}: {state}")
        return Exit.OK if view.state is JobState.CANCELLED or not view.ended else Exit.INVALID

    return asked(name, ask)


def list_jobs(name: StackName, *, limit: int, state: JobState | None, as_json: bool) -> Exit:
    def ask(jobs: JobsClient) -> Exit:
        wanted = (view for view in jobs.recent() if state is None or view.state is state)
        found = [_listed(view) for view in islice(wanted, limit)]
        if as_json:
            for each in found:
                print(json.dumps(each))
        else:
            print_jobs(found)
        return Exit.OK

    return asked(name, ask)


def _started(submitted: Submitted, jobs: JobsClient, name: StackName, *, follow: bool, as_json: bool) -> Exit:
    if not name.is_local:
        print(console_link(submitted.execution), file=sys.stderr)
    if follow:
        return _follow(submitted, jobs, name, as_json=as_json)
    started = {"job_id": submitted.job_id, "execution": submitted.execution}
    print(json.dumps(started) if as_json else submitted.job_id)
    return Exit.OK


def _follow(submitted: Submitted, jobs: JobsClient, name: StackName, *, as_json: bool) -> Exit:
    with JobProgress() as progress:
        view = show_until_end(submitted, Watch(jobs, _look_seconds(name)), progress)
    tell(_told(view, jobs), jobs, as_json=as_json)
    return _code(view)


def _find(jobs: JobsClient, job_id: str, *, patience: float = APPEAR_SECONDS) -> JobView:
    """The job; one that was submitted this moment may take `patience` seconds to appear. Raises UnknownJobError. The
    table is all there is to ask, and it calls nobody back."""
    deadline = time.monotonic() + patience
    while (view := jobs.read(job_id)) is None:
        if time.monotonic() >= deadline:
            raise UnknownJobError(f"no job {job_id!r}; `sluiceway list` shows the jobs there are")
        time.sleep(APPEAR_LOOK_SECONDS)
    return view


def _told(view: JobView, jobs: JobsClient) -> dict[str, Any]:
    summary = (jobs.read_summary(view.job_id) if view.ended else None) or {}
    outputs = f"s3://{jobs.jobs_bucket}/{jobs.outputs_prefix(view.job_id)}"
    seconds = summary.get("seconds", view.seconds)
    # The counters are right at every moment; the error of a job that was lost is only in the view.
    return outcome(replace(view, error=view.error or summary.get("error")), seconds, outputs)


def _listed(view: JobView) -> dict[str, Any]:
    return {
        "job_id": view.job_id,
        "status": view.state.value,
        "created_at": view.created_at,
        "seconds": round(view.seconds, 3),
        "files": {state: count for state, count in view.counts.files.items() if count},
        "files_total": view.files_total,
        "bytes": view.counts.bytes,
        **({"export_progress": view.export_told} if view.export_told else {}),
    }


def _download(jobs: JobsClient, job_id: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for output in OUTPUTS:
        if not jobs.download(jobs.outputs_prefix(job_id) + output, folder / output):
            print(f"{job_id} has left no {output}", file=sys.stderr)


def _look_seconds(name: StackName) -> float:
    return LOOK_SECONDS if name.is_local else REMOTE_LOOK_SECONDS


def _code(view: JobView) -> Exit:
    return of_job(view.state, (view.error or {}).get("type"))
