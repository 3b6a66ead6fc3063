"""`sluiceway run`: a job through the deployed state machine, in the embedded engine, on this machine.

Knows the order of things: everything is checked before anything starts, and what was started is taken down whatever
happens. Refuses to know how the engine works inside and how a view is drawn.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from cli.arguments import Secrets
from cli.embedded import PROGRESS_SECONDS, make_folder, running_engine
from cli.exits import Exit, of_job
from cli.follow import outcome, show_until_end, tell
from cli.jobs import JobsClient, JobView
from cli.load import Loaded, load
from cli.refusal import refuse
from cli.signals import terminated_as_interrupt
from cli.trust import hint
from cli.view import JobProgress
from cli.watch import Watch
from infra.settings import Settings, split_assignments
from sluiceway.errors import InvalidJobError, JobError, PolicyError
from sluiceway.job_files import key_of

# The engine delivers the events that end a stopped job at once, and knows when they were heard; AWS may take minutes.
SETTLE_SECONDS = 5.0


def run(
    job: str, landed: Path, allow_source: list[str], assignments: list[str], secrets: Secrets | None, *, as_json: bool
) -> Exit:
    """Checks, runs, shows, and returns the exit code."""
    try:
        loaded = load(job)
        settings = _settings(assignments, allow_source, loaded)
        make_folder(landed)
    except (JobError, ValueError) as error:
        return refuse(job, error, as_json=as_json)
    try:
        with terminated_as_interrupt():
            return _run(loaded, landed, settings, secrets, as_json=as_json)
    except InvalidJobError as error:
        return refuse(job, error, as_json=as_json)


def _run(loaded: Loaded, landed: Path, settings: Mapping[str, str], secrets: Secrets | None, *, as_json: bool) -> Exit:
    with JobProgress() as progress:
        progress.note(f"{loaded.job_id}: setting up the engine")
        with running_engine(landed, settings, secrets, progress) as engine:
            jobs = JobsClient.of_stack(engine.client, engine.outputs)
            for bucket in loaded.buckets - {engine.outputs["LandingBucket"]}:
                jobs.s3.create_bucket(Bucket=bucket)
            started = time.monotonic()
            watch = Watch(jobs, settle_seconds=SETTLE_SECONDS, busy=lambda: engine.has_events)
            view, interrupted = _follow(loaded, watch, progress)
            seconds = time.monotonic() - started
            outputs = landed / jobs.jobs_bucket / key_of(view.job_id, "")
            progress.stop()
            tell(view, outcome(view, seconds, str(outputs)), jobs, as_json=as_json)
            if not as_json and (refused := hint(_refusals(view, jobs))):
                print(refused, file=sys.stderr)
    return Exit.INTERRUPTED if interrupted else of_job(view.state, (view.error or {}).get("type"))


def _refusals(view: JobView, jobs: JobsClient) -> Iterator[tuple[str, str]]:
    """What the URL policy refused, the job's own requests and then its files: each URL and why."""
    if view.error is not None:
        yield "", view.error["message"]
    if view.has_outputs and view.counts.rejected:
        for line in jobs.read_report(view.job_id):
            if line["error"] and line["error"]["type"] == PolicyError.__name__:
                yield line["url"], line["error"]["message"]


def _follow(loaded: Loaded, watch: Watch, progress: JobProgress) -> tuple[JobView, bool]:
    """The job's last view, and whether it was interrupted: the first Ctrl-C cancels it and waits for its end."""
    submitted = watch.jobs.submit(loaded.document, loaded.manifest)
    try:
        return show_until_end(submitted, watch, progress), False
    except KeyboardInterrupt:
        progress.note(f"{loaded.job_id}: cancelling; Ctrl-C once more leaves at once")
        watch.jobs.cancel(submitted)
        return show_until_end(submitted, watch, progress), True


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
