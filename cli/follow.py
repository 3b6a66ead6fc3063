"""A job followed to its end and told of: what `run`, `submit` and `watch` have in common.

Knows the order of looking and telling. Refuses to know where the job runs and how a view is drawn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cli.jobs import JobsClient, JobView, Submitted
from cli.view import JobProgress, print_outcome
from cli.watch import JobLostError, JobNotBegunError, Watch
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.states import FileState, JobState

LANDED = (FileState.STORED.value, FileState.SKIPPED.value)


def show_until_end(submitted: Submitted, watch: Watch, progress: JobProgress) -> JobView:
    """The job's last view. One that is lost to its execution is FAILED with the error JobLostError, one that was
    stopped before it had begun CANCELLED. Raises JobIsLiveError where the job is another execution's: that one goes on,
    and nothing is to be said of its end."""
    view = JobView(submitted.job_id, JobState.FAILED, submitted.execution, None, None, Counts())
    try:
        for view in watch.follow(submitted):
            progress.show(view)
    except JobNotBegunError:
        return replace(view, state=JobState.CANCELLED)
    except JobLostError as error:
        return replace(view, state=JobState.FAILED, error={"type": JobLostError.__name__, "message": str(error)})
    if view.ended and view.files_total == 0:
        progress.note(f"warning: {view.job_id}: the source listed no files; nothing was moved")
    return view


def outcome(view: JobView, seconds: float, outputs: str) -> dict[str, Any]:
    """The object that `--json` prints. `cancelled`, `export_progress` and `error` are there when there are any;
    `outputs` is where they lie, None before there are those of this run."""
    files = {state: count for state, count in view.counts.files.items() if count or state != "cancelled"}
    return {
        "job_id": view.job_id,
        "status": view.state.value,
        "files": files,
        "bytes": view.counts.bytes,
        "seconds": round(seconds, 3),
        "outputs": outputs if view.has_outputs else None,
        **({"export_progress": view.export_told} if view.export_told else {}),
        **({"error": dict(view.error)} if view.error else {}),
    }


def tell(view: JobView, told: Mapping[str, Any], jobs: JobsClient, *, as_json: bool) -> None:
    """The outcome on stdout: one line of JSON, or the table with the files that did not land."""
    if as_json:
        print(json.dumps(told), flush=True)
    else:
        print_outcome(told, _problems(view, jobs), told.get("error"))


def _problems(view: JobView, jobs: JobsClient) -> Iterator[dict[str, Any]]:
    """The report's lines of files that did not land; not read, for it may be long, where all of them did."""
    if view.has_outputs and view.counts.not_landed:
        yield from (line for line in jobs.read_report(view.job_id) if line["status"] not in LANDED)
