"""The command `sluiceway`: `run`, `plan` and `copy`, which need no stack, and those of stack_commands.py, which do.

Knows how arguments are spelt. Refuses to know how anything is done: each command's work is in its own file, which
is imported only when that command runs, so that `copy` never pays for what `run` needs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli import stack_commands
from cli.arguments import certificates, whole_number
from cli.exits import Exit
from cli.failing import tell_failure
from cli.options import AllowSource, AsJson, Assignments, Landed, SecretsFile
from cli.streams import Stream, take_standard_streams

app = typer.Typer(
    name="sluiceway",
    help="Land files from HTTP(S) in Amazon S3: one pass over the bytes, verified before they are visible.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

IfExists = Literal["overwrite", "never", "skip-unchanged"]
PartChecksum = Literal["crc64nvme", "crc32", "none"]


@app.callback()
def sluiceway() -> None:
    """Land files from HTTP(S) in Amazon S3: one pass over the bytes, verified before they are visible."""


@app.command()
def run(
    job: Annotated[
        str, typer.Argument(metavar="JOB", help="A job (JSON or YAML), or a list of files in any manifest format.")
    ],
    landed: Landed = Path("landed"),
    allow_source: AllowSource = [],  # noqa: B006  (Typer copies it)
    settings: Assignments = [],  # noqa: B006
    secrets: SecretsFile = None,
    as_json: AsJson = False,
) -> None:
    """Run a job on this machine, through the same state machine that runs on AWS. No account is needed.

    \b
    Examples:
      sluiceway run urls.txt                       one URL a line
      sluiceway run job.yaml --landed /data/in     a job with its destination, limits and digests
      sluiceway run files.csv --allow-source files.internal:8080
      sluiceway run job.json --json | jq .status
      sluiceway run export.yaml --secrets secrets.json   what the job's auth names: {"sluiceway/acme": "…"}
      sluiceway run landed/<jobs bucket>/jobs/<job id>/failed.jsonl   what failed, once more

    \b
    Manifest formats: JSON lines, a JSON array, CSV with a header, a plain list of URLs, TsvHttpData-1.0.
    An entry has url, and may have key, bucket, size, sha256, md5, sha1, sha512, crc32, crc32c, crc64nvme.
    An s3:// address is in a bucket of the engine, which is a folder under DIR, never in AWS.

    \b
    Exit codes: 0 all stored or skipped; 1 some file failed or was rejected; 2 the job or the arguments are
    invalid; 3 the job itself failed or was cancelled; 74 the outcome could not be written to stdout; 130
    interrupted: Ctrl-C cancels the job and waits until it has ended.
    """
    from cli import run as command

    raise typer.Exit(command.run(job, landed, allow_source, settings, secrets, as_json=as_json))


@app.command()
def plan(
    job: Annotated[str, typer.Argument(metavar="JOB", help="As for `run`: a job, or a list of files.")],
    settings: Assignments = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Check a job and tell which way its files would go and what that would cost on AWS. Nothing is moved or asked.

    \b
    Examples:
      sluiceway plan job.yaml
      sluiceway plan files.csv --set split_bytes=10000000000
      sluiceway plan job.json --json | jq .estimate.usd

    \b
    Sizes are those that the job or its list states. Where files are listed by an export API, or in a list that is not
    on this machine, only the job itself is checked. `run --allow-source HOST` is here `--set allowed_sources=HOST`.

    \b
    Exit codes: 0 the job is valid; 2 the job or the arguments are invalid, and every mistake is named.
    """
    from cli import plan as command

    raise typer.Exit(command.plan(job, settings, as_json=as_json))


@app.command()
def copy(
    url: Annotated[str, typer.Argument(metavar="URL", help="http or https.")],
    target: Annotated[str, typer.Argument(metavar="s3://BUCKET/KEY")],
    sha256: Annotated[str | None, typer.Option(metavar="HEX", help="Store only if this is its SHA-256.")] = None,
    md5: Annotated[str | None, typer.Option(metavar="HEX", help="Store only if this is its MD5.")] = None,
    size: Annotated[
        int | None, typer.Option(metavar="BYTES", parser=whole_number(0), help="Store only if it is this long.")
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(metavar="BYTES", parser=whole_number(1), help="Refuse what is longer (default: 5 GiB)."),
    ] = None,
    part_mib: Annotated[
        int | None,
        typer.Option(
            metavar="MIB",
            parser=whole_number(5, 5120),
            help="Part size (default: planned); memory: 50 MiB + (uploaders + 1) parts.",
        ),
    ] = None,
    uploaders: Annotated[
        int, typer.Option(metavar="N", parser=whole_number(1, 16), help="Parts uploaded at once, 1 to 16.")
    ] = 2,
    if_exists: Annotated[IfExists, typer.Option(help="What to do when the key is taken.")] = "overwrite",
    part_checksum: Annotated[
        PartChecksum, typer.Option(help="What S3 itself verifies; use 'none' for a store that supports neither.")
    ] = "crc64nvme",
    allow_source: AllowSource = [],  # noqa: B006
    ca_bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=certificates,
            help="Certificates to trust for the source, and for an S3 endpoint of your own, PEM.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy one file into S3 in one pass, with constant memory. S3 is whatever the AWS_* variables point to.

    \b
    Examples:
      sluiceway copy https://example.org/a.csv s3://landing/a.csv
      sluiceway copy https://example.org/a.csv s3://landing/a.csv --sha256 "$(cut -d' ' -f1 a.csv.sha256)"
      AWS_ENDPOINT_URL_S3=http://localhost:9000 sluiceway copy URL s3://b/k --part-checksum crc32
      sluiceway copy http://10.0.0.5:8080/a s3://b/a --allow-source 10.0.0.5:8080

    \b
    Exit codes: 0 stored or skipped; 1 failed or rejected, with no object and no unfinished upload left behind;
    2 the arguments are invalid; 4 S3 cannot be reached: no credentials, no connection; 74 the outcome could not be
    written to stdout; 130 interrupted, which leaves nothing behind either.
    """
    from cli import copy as command

    request = command.parse(
        url,
        target,
        digests={"sha256": sha256, "md5": md5},
        size=size,
        max_bytes=max_bytes,
        part_mib=part_mib,
        uploaders=uploaders,
        if_exists=if_exists,
        part_checksum=part_checksum,
        allow_source=allow_source,
        ca_bundle=ca_bundle,
    )
    raise typer.Exit(command.copy(request, as_json=as_json))


# After the commands above: the help lists them in this order.
app.add_typer(stack_commands.app)


def main() -> None:
    """What the installed script calls. Ends the process with one of `cli.exits.Exit`."""
    out = take_standard_streams()
    code = _ended(out)
    if out.lost is not None:
        print(f"Error: the answer could not be written to stdout: {out.lost.strerror}", file=sys.stderr)
        code = Exit.UNTOLD
    raise SystemExit(code)


def _ended(out: Stream) -> int:
    """The exit code of the command; where it ended without a word of its own, --json has its object all the same."""
    as_json = "--json" in sys.argv
    try:
        code = int(app(standalone_mode=False) or Exit.OK)
    except typer.TyperException as error:
        error.show()  # type: ignore[attr-defined]  # every one that Typer raises for an argument has it
        tell_failure(Exit.INVALID, "InvalidArgumentError", error.format_message(), as_json=as_json)
        return error.exit_code
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    if code == Exit.INTERRUPTED and out.is_unused:
        tell_failure(Exit.INTERRUPTED, "Interrupted", "interrupted before there was an outcome", as_json=as_json)
    return code


if __name__ == "__main__":
    main()
