"""`submit`, `rerun`, `watch`, `report`, `cancel` and `list`: jobs of a stack that is deployed, or of a running engine.

Knows the order of things and what is said. Refuses to know how the stack is found (stack.py) and asked (jobs.py).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError

from cli.exits import Exit, of_job
from cli.failing import fail, tell_failure
from cli.follow import outcome, show_until_end, tell
from cli.jobs import JobsClient, JobView, Submitted
from cli.load import load
from cli.refusal import refuse
from cli.stack import StackError, console_link, open_stack, told_as_stack_error
from cli.stack_options import StackName
from cli.view import JobProgress, print_jobs
from cli.watch import LOOK_SECONDS, JobLostError, Watch
from sluiceway.errors import JobError, JobIsLiveError
from sluiceway.job_files import OUTPUTS, key_of
from sluiceway.jobs.states import JobState

# A job has its row a second or two after it was submitted, when StartExport starts cold. `submit` waits for it, so that
# whatever is asked next knows the job, and so that a job of the same id that was faster is told.
BEGIN_SECONDS = 15.0
BEGIN_LOOK_SECONDS = 0.5
# DescribeExecution is throttled at 15 a second for all who watch.
REMOTE_LOOK_SECONDS = 2.0


class UnknownJobError(Exception):
    """The stack has no job of this id."""


class FolderError(Exception):
    """Nothing can be written to the folder that was named."""


def asked(name: StackName, ask: Callable[[JobsClient], Exit], *, job_id: str | None = None, as_json: bool) -> Exit:
    """Runs `ask` against the stack; what cannot be asked, or done with the job, is told."""
    try:
        with told_as_stack_error(name):
            return ask(open_stack(name))
    except StackError as error:
        return fail(Exit.UNAVAILABLE, type(error).__name__, str(error), job_id=job_id, as_json=as_json)
    except (UnknownJobError, JobIsLiveError, FolderError) as error:
        return fail(Exit.INVALID, type(error).__name__, str(error), job_id=job_id, as_json=as_json)
    except JobLostError as error:
        message = f"the execution ended before the job had begun: {error}"
        return fail(Exit.JOB, type(error).__name__, message, job_id=job_id, as_json=as_json)


def submit(job: str, name: StackName, *, job_id: str | None, follow: bool, as_json: bool) -> Exit:
    """The job's id on stdout; the link to the console, for people, on stderr."""
    try:
        loaded = load(job, job_id=job_id)
    except JobError as error:
        return refuse(job, error, as_json=as_json)

    def ask(jobs: JobsClient) -> Exit:
        _refuse_live(jobs.read(loaded.job_id))
        submitted = jobs.submit(loaded.document, loaded.manifest)
        return _started(submitted, jobs, name, follow=follow, as_json=as_json)

    return asked(name, ask, job_id=loaded.job_id, as_json=as_json)


def rerun(job_id: str, name: StackName, *, follow: bool, as_json: bool) -> Exit:
    def ask(jobs: JobsClient) -> Exit:
        _refuse_live(_find(jobs, job_id))
        return _started(jobs.submit_again(job_id), jobs, name, follow=follow, as_json=as_json)

    return asked(name, ask, job_id=job_id, as_json=as_json)


def watch(job_id: str, name: StackName, *, as_json: bool) -> Exit:
    def ask(jobs: JobsClient) -> Exit:
        view = _find(jobs, job_id)
        return _follow(Submitted(job_id, view.execution), jobs, name, as_json=as_json)

    return asked(name, ask, job_id=job_id, as_json=as_json)


def report(job_id: str, name: StackName, *, download: Path | None, as_json: bool) -> Exit:
    def ask(jobs: JobsClient) -> Exit:
        view = _find(jobs, job_id)
        if download is not None:
            _download(jobs, view, download)
        tell(view, _told(view, jobs), jobs, as_json=as_json)
        return _code(view) if view.ended else Exit.OK

    return asked(name, ask, job_id=job_id, as_json=as_json)


def cancel(job_id: str, name: StackName, *, wait: bool, as_json: bool) -> Exit:
    def ask(jobs: JobsClient) -> Exit:
        view = _find(jobs, job_id)
        submitted = Submitted(job_id, view.execution)
        if not view.ended:
            jobs.cancel(submitted)
            if wait:
                try:
                    view = _until_end(submitted, jobs, name)
                except KeyboardInterrupt:
                    return _left(job_id, "is being cancelled", as_json=as_json)
        return _cancelled(view, as_json=as_json)

    return asked(name, ask, job_id=job_id, as_json=as_json)


def _cancelled(view: JobView, *, as_json: bool) -> Exit:
    """Tells what became of the wish to cancel a job. One that ended by itself was not cancelled."""
    state = view.state.value if view.ended else "CANCELLING"
    told: dict[str, Any] = {"job_id": view.job_id, "status": state}
    if view.ended and view.state is not JobState.CANCELLED:
        error = {"type": "JobEndedError", "message": f"it had ended as {state} before it could be cancelled"}
        lost = view.error is not None and view.error["type"] == JobLostError.__name__
        told["error"] = view.error if lost else error
        print(f"Error: {view.job_id}: {told['error']['message']}", file=sys.stderr)
    print(json.dumps(told) if as_json else f"{view.job_id}: {state}")
    return Exit.INVALID if "error" in told else Exit.OK


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

    return asked(name, ask, as_json=as_json)


def _refuse_live(view: JobView | None) -> None:
    """Raises JobIsLiveError unless an execution may have the job: it is new, or has ended."""
    if view is not None and not view.ended:
        raise JobIsLiveError(
            f"a job {view.job_id!r} is live ({view.state.value}): nothing was started; the id is free once it has ended"
        )


def _started(submitted: Submitted, jobs: JobsClient, name: StackName, *, follow: bool, as_json: bool) -> Exit:
    """Raises JobIsLiveError and JobLostError where the execution came to nothing."""
    if not name.is_local:
        print(console_link(submitted.execution), file=sys.stderr)
    if follow:
        return _follow(submitted, jobs, name, as_json=as_json)
    started = {"job_id": submitted.job_id, "execution": submitted.execution}
    told = json.dumps(started) if as_json else submitted.job_id
    try:
        begun = Watch(jobs, BEGIN_LOOK_SECONDS).is_begun(submitted, BEGIN_SECONDS)
    except KeyboardInterrupt:
        print(told)
        return _left(submitted.job_id, as_json=False)
    if not begun:
        print(f"{submitted.job_id} has not begun yet; `sluiceway list` shows it once it has", file=sys.stderr)
    print(told)
    return Exit.OK


def _follow(submitted: Submitted, jobs: JobsClient, name: StackName, *, as_json: bool) -> Exit:
    try:
        view = _until_end(submitted, jobs, name)
    except KeyboardInterrupt:
        return _left(submitted.job_id, as_json=as_json)
    tell(view, _told(view, jobs), jobs, as_json=as_json)
    return _code(view)


def _until_end(submitted: Submitted, jobs: JobsClient, name: StackName) -> JobView:
    """Raises as `show_until_end`."""
    with JobProgress() as progress:
        return show_until_end(submitted, Watch(jobs, _look_seconds(name)), progress)


def _left(job_id: str, state: str = "goes on", *, as_json: bool) -> Exit:
    """Ctrl-C ended the looking on, not the job: says how to look on again."""
    message = f"{job_id} {state}; `sluiceway watch {job_id}` shows it"
    print(message, file=sys.stderr)
    tell_failure(Exit.INTERRUPTED, "Interrupted", message, job_id=job_id, as_json=as_json)
    return Exit.INTERRUPTED


def _find(jobs: JobsClient, job_id: str) -> JobView:
    """Raises UnknownJobError at once: what `submit` started has its row by the time `submit` ends."""
    view = jobs.read(job_id)
    if view is None:
        raise UnknownJobError(
            f"no job {job_id!r}; `sluiceway list` shows the jobs there are, one that another program started this "
            "moment in a second or two"
        )
    return view


def _told(view: JobView, jobs: JobsClient) -> dict[str, Any]:
    summary = (jobs.read_summary(view.job_id) if view.has_outputs else None) or {}
    outputs = f"s3://{jobs.jobs_bucket}/{key_of(view.job_id, '')}"
    seconds = summary.get("seconds", view.seconds)
    # The counters are right at every moment; the error of a job that was lost is only in the view.
    told = outcome(replace(view, error=view.error or summary.get("error")), seconds, outputs)
    return {**told, "execution": view.execution}


def _listed(view: JobView) -> dict[str, Any]:
    return {
        "job_id": view.job_id,
        "status": view.state.value,
        "created_at": view.created_at,
        "seconds": round(view.seconds, 3),
        "files": {state: count for state, count in view.counts.files.items() if count},
        "files_total": view.files_total,
        "bytes": view.counts.bytes,
        "execution": view.execution,
        **({"export_progress": view.export_told} if view.export_told else {}),
    }


def _download(jobs: JobsClient, view: JobView, folder: Path) -> None:
    """Raises FolderError, and JobIsLiveError of a job that goes on: what lies there is of its run before, if any."""
    if not view.has_outputs:
        raise JobIsLiveError(
            f"the job {view.job_id!r} is live ({view.state.value}): nothing was downloaded; its files are written when "
            "it ends"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for output in OUTPUTS:
            if not jobs.download(key_of(view.job_id, output), folder / output):
                print(f"{view.job_id} has left no {output}", file=sys.stderr)
    except BotoCoreError:
        raise  # some of them are OSErrors too
    except OSError as error:
        expected = "a folder that can be made and written to"
        raise FolderError(f"--download: expected {expected}, found {str(folder)!r} ({error.strerror})") from error


def _look_seconds(name: StackName) -> float:
    return LOOK_SECONDS if name.is_local else REMOTE_LOOK_SECONDS


def _code(view: JobView) -> Exit:
    return of_job(view.state, (view.error or {}).get("type"))
