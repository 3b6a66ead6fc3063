"""The subcommands that speak to a deployed stack or a running engine: their options and their help.

Knows how arguments are spelt. Refuses to know how anything is done: remote.py and engine.py are imported only when
their command runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.arguments import whole_number
from cli.options import AllowSource, AsJson, Assignments, Landed, SecretsFile
from cli.stack_options import StackName, of_stack
from sluiceway.jobs.states import JobState

app = typer.Typer()
engine = typer.Typer(help="The embedded engine: an AWS on this machine with the stack deployed in it.")
app.add_typer(engine, name="engine")

JobId = Annotated[str, typer.Argument(metavar="JOB_ID")]
Follow = Annotated[bool, typer.Option("--watch", help="Follow the job to its end, as `watch` does.")]


@app.command()
@of_stack
def submit(
    job: Annotated[str, typer.Argument(metavar="JOB", help="As for `run`: a job, or a list of files.")],
    name: StackName,
    job_id: Annotated[str | None, typer.Option(metavar="ID", help="Id of the job, instead of its own.")] = None,
    follow: Follow = False,
    as_json: AsJson = False,
) -> None:
    """Start a job in a deployed stack. Prints its id; the link to the console goes to stderr.

    \b
    Examples:
      sluiceway submit job.yaml --stack sluiceway-test --profile work
      sluiceway submit urls.txt --watch
      sluiceway submit s3://JOBS_BUCKET/jobs/JOB_ID/failed.jsonl    what failed, as a job of its own

    \b
    Exit codes: 0 started (with --watch: as for `run`); 2 the job is invalid or one of its id is live, nothing was
    started; 3 its execution broke before the job began; 4 AWS cannot be reached or refuses.
    """
    from cli import remote

    raise typer.Exit(remote.submit(job, name, job_id=job_id, follow=follow, as_json=as_json))


@app.command()
@of_stack
def rerun(
    job_id: JobId,
    name: StackName,
    follow: Follow = False,
    as_json: AsJson = False,
) -> None:
    """Run a finished job again, from its stored document. Only what is not stored yet moves.

    Exit codes: as for `submit`; 2 also when there is no such job or it has not ended.
    """
    from cli import remote

    raise typer.Exit(remote.rerun(job_id, name, follow=follow, as_json=as_json))


@app.command()
@of_stack
def watch(
    job_id: JobId,
    name: StackName,
    as_json: AsJson = False,
) -> None:
    """Follow a job to its end, as `run` shows it. Ctrl-C stops watching; the job goes on.

    Exit codes: as for `run`, 3 for a job that was cancelled; 2 there is no such job; 4 AWS cannot be reached or
    refuses; 130 by Ctrl-C.
    """
    from cli import remote

    raise typer.Exit(remote.watch(job_id, name, as_json=as_json))


@app.command()
@of_stack
def report(
    job_id: JobId,
    name: StackName,
    download: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also fetch report.jsonl, failed.jsonl, SHA256SUMS and summary.json there."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how a job ended, or how it stands, with the files that did not land.

    Exit codes: as for `run`, 0 while the job runs, 3 when it was cancelled; 2 there is no such job, or it runs and its
    files were to be downloaded; 4 AWS cannot be reached or refuses.
    """
    from cli import remote

    raise typer.Exit(remote.report(job_id, name, download=download, as_json=as_json))


@app.command()
@of_stack
def cancel(
    job_id: JobId,
    name: StackName,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the job has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Cancel a job: no further file begins, files under way stop, what they uploaded is aborted. What is stored stays.

    Exit codes: 0 cancelled, or on its way; 2 there is no such job, or it had ended before it could be cancelled; 4 AWS
    cannot be reached or refuses.
    """
    from cli import remote

    raise typer.Exit(remote.cancel(job_id, name, wait=wait, as_json=as_json))


@app.command("list")
@of_stack
def list_jobs(
    name: StackName,
    limit: Annotated[int, typer.Option(metavar="N", parser=whole_number(1), help="Show at most N jobs.")] = 20,
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a job, each on a line.")] = False,
) -> None:
    """List jobs, the newest first.

    Exit codes: 0; 4 AWS cannot be reached or refuses.
    """
    from cli import remote

    raise typer.Exit(remote.list_jobs(name, limit=limit, state=state, as_json=as_json))


@engine.callback()
def of_engine() -> None:
    """The embedded engine: an AWS on this machine with the stack deployed in it."""


@engine.command()
def start(
    landed: Landed = Path("landed"),
    port: Annotated[
        int, typer.Option(metavar="PORT", parser=whole_number(0, 65535), help="Port on loopback; 0 takes a free one.")
    ] = 0,
    secrets: SecretsFile = None,
    allow_source: AllowSource = [],  # noqa: B006  (Typer copies it)
    settings: Assignments = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Run the engine until Ctrl-C, for `submit`, `watch` and the others, and for any AWS SDK.

    \b
    Examples:
      sluiceway engine start --port 4700
      sluiceway submit urls.txt --watch --endpoint-url http://127.0.0.1:4700

    \b
    Objects stay in DIR; jobs that run when it ends are cancelled, and the list of jobs goes with it.
    Exit codes: 0 ended by Ctrl-C; 2 the arguments are invalid.
    """
    from cli import engine as command

    raise typer.Exit(command.start(landed, port, secrets, allow_source, settings, as_json=as_json))
