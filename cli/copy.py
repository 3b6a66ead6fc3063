"""`sluiceway copy`: one file, with the transfer of ProcessFile and without a job.

Knows how arguments become a task and how its result is told. Refuses to know the engine, the job document and the
state machine; it imports nothing of theirs, so that a copy starts as fast as a function does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from cli.arguments import TARGET
from cli.exits import Exit, of_file
from cli.signals import terminated_as_interrupt
from cli.trust import hint
from sluiceway.errors import SinkDeniedError, SinkError, SluicewayError
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState
from sluiceway.redact import redact_text
from sluiceway.source.policy import wrong_url
from sluiceway.transfer.digest import ALGORITHMS, normalise

MIB = 1024**2
MAX_FILE_BYTES = 5 * 1024 * MIB
# Part buffers are planned from a share of this: what the deployed function has by default.
MEMORY_BYTES = 512 * MIB
NO_CREDENTIALS = (
    "no credentials for AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a profile of "
    "~/.aws/config (`aws configure` writes one)"
)


INTERRUPTED = FileResult(
    FileState.CANCELLED,
    error_type="Interrupted",
    error_message="nothing unfinished is left behind",
)


class AwsUnavailableError(SinkDeniedError):
    """S3 cannot be reached: no credentials, a profile that is not there, an endpoint that is none or never answers. The
    text says what to mend."""


class Calls:
    """Whether S3 has ever answered a client: one that does not is not there, and it says nothing about the file."""

    def __init__(self) -> None:
        self._answered = False
        self._failed: Exception | None = None

    def watch(self, s3: Any) -> None:
        s3.meta.events.register("after-call.s3", self._on_answer)
        s3.meta.events.register("after-call-error.s3", self._on_failure)

    @property
    def unanswered(self) -> Exception | None:
        """Why there is no answer to a call; None where there has been one, or no call."""
        return None if self._answered else self._failed

    def _on_answer(self, **_: Any) -> None:
        self._answered = True

    def _on_failure(self, exception: Exception, **_: Any) -> None:
        self._failed = exception


@dataclass(frozen=True, slots=True)
class Request:
    """What the arguments say, checked. Sizes are in bytes."""

    task: FileTask
    if_exists: str
    max_file_bytes: int
    part_bytes: int | None
    part_checksum: str
    uploaders: int
    allowed_sources: tuple[str, ...]
    ca_bundle: Path | None


def parse(
    url: str,
    target: str,
    *,
    digests: Mapping[str, str | None],
    size: int | None,
    max_bytes: int | None,
    part_mib: int | None,
    uploaders: int,
    if_exists: str,
    part_checksum: str,
    allow_source: list[str],
    ca_bundle: Path | None,
) -> Request:
    """Raises typer.BadParameter naming the argument, what was found and what was expected."""
    bucket, key = _target(target)
    stated = {name: _digest(name, value) for name, value in digests.items() if value is not None}
    return Request(
        task=FileTask(_url(url), bucket, key, size, stated),
        if_exists=if_exists,
        max_file_bytes=max_bytes or MAX_FILE_BYTES,
        part_bytes=part_mib * MIB if part_mib else None,
        part_checksum=part_checksum,
        uploaders=uploaders,
        allowed_sources=tuple(allow_source),
        ca_bundle=ca_bundle,
    )


def copy(request: Request, *, as_json: bool) -> Exit:
    """Moves the file, tells the outcome, and returns the exit code."""
    started = time.monotonic()
    try:
        with terminated_as_interrupt(), _progress(request.task, shown=not as_json) as on_progress:
            result = _land(request, on_progress)
    except KeyboardInterrupt:
        result = replace(INTERRUPTED, seconds=time.monotonic() - started)
    if as_json:
        print(json.dumps(outcome(request.task, result)))
    else:
        _tell(request, result)
    if result.state is FileState.CANCELLED:
        return Exit.INTERRUPTED
    return Exit.UNAVAILABLE if result.error_type == AwsUnavailableError.__name__ else of_file(result)


def outcome(task: FileTask, result: FileResult) -> dict[str, Any]:
    """The object that `--json` prints. `md5` is there when the file was checked against one."""
    error = {"type": result.error_type, "message": result.error_message} if result.error_type else None
    stated = {name: result.digests.get(name) for name in task.digests if name != "sha256"}
    return {
        "status": result.state.value,
        "bytes": result.bytes,
        "sha256": result.digests.get("sha256"),
        **stated,
        "parts": result.parts,
        "seconds": round(result.seconds, 3),
        "error": error,
    }


def _land(request: Request, on_progress: Callable[[int], None] | None) -> FileResult:
    # Here, not above: a wrong argument is answered without loading botocore.
    from sluiceway.landing.land import land
    from sluiceway.landing.memory import give_back_memory
    from sluiceway.landing.options import Options
    from sluiceway.source.client import Client
    from sluiceway.source.policy import UrlPolicy

    options = Options(
        if_exists=request.if_exists,
        max_file_bytes=request.max_file_bytes,
        uploaders=request.uploaders,
        part_bytes=request.part_bytes,
        part_checksum=request.part_checksum,
        memory_bytes=MEMORY_BYTES,
    )
    ca_bundle = str(request.ca_bundle) if request.ca_bundle else None
    client = Client(UrlPolicy(request.allowed_sources), ca_bundle=ca_bundle)
    started, calls = time.monotonic(), Calls()
    try:
        s3 = _s3(request.uploaders + 1, ca_bundle)
        calls.watch(s3)
        give_back_memory()
        return land(request.task, options, client=client, s3=s3, on_progress=on_progress)
    except SluicewayError as error:
        if isinstance(error, SinkError) and calls.unanswered is not None:
            error = AwsUnavailableError(f"AWS cannot be reached: {calls.unanswered}")
        return FileResult.of_error(error, seconds=time.monotonic() - started)


def _s3(connections: int, ca_bundle: str | None) -> Any:
    """Raises AwsUnavailableError before the source is asked for a file that nobody could store. `ca_bundle` is for an
    endpoint that is not AWS's."""
    from botocore.exceptions import BotoCoreError

    from sluiceway.aws.session import new_session
    from sluiceway.sink.client import endpoint_of, s3_client

    try:
        session = new_session()
        if session.get_credentials() is None:
            raise AwsUnavailableError(NO_CREDENTIALS)
        # Somebody's own S3 is often signed by the authority that signed the source; AWS's own endpoints never are.
        is_own = bool(endpoint_of(session)) and not os.environ.get("AWS_CA_BUNDLE")
        return s3_client(session, connections=connections, ca_bundle=ca_bundle if is_own else None)
    except (BotoCoreError, ValueError) as error:
        # A ValueError: so botocore says that an endpoint is no URL.
        raise AwsUnavailableError(f"AWS cannot be reached: {error}") from error


def _url(text: str) -> str:
    if expected := wrong_url(text):
        raise typer.BadParameter(f"expected {expected}, found {redact_text(text)!r}", param_hint="URL")
    return text


def _target(text: str) -> tuple[str, str]:
    target = TARGET.fullmatch(text)
    if target is None:
        bucket = "arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME" if text.startswith("s3://arn:") else "BUCKET"
        raise typer.BadParameter(f"expected s3://{bucket}/KEY, found {text!r}", param_hint="s3://BUCKET/KEY")
    return target["bucket"], target["key"]


def _digest(name: str, value: str) -> str:
    try:
        return normalise(name, value)
    except ValueError:
        digits = 2 * ALGORITHMS[name]
        message = f"expected {digits} hex digits, or the same in base64, found {value!r}"
        raise typer.BadParameter(message, param_hint=f"--{name}") from None


@contextmanager
def _progress(task: FileTask, *, shown: bool) -> Iterator[Callable[[int], None] | None]:
    """Yields what to call with the bytes moved so far; None where nobody watches."""
    if not (shown and sys.stderr.isatty()):
        yield None
        return
    from cli.view import file_progress

    with file_progress(task.key, task.size) as advance:
        yield advance


def _tell(request: Request, result: FileResult) -> None:
    target = f"s3://{request.task.bucket}/{request.task.key}"
    if of_file(result) is Exit.OK:
        sha256 = result.digests.get("sha256")
        how = f"{result.bytes} bytes, {result.parts} part(s), {result.seconds:.1f} s, sha256 {sha256}"
        print(f"{result.state.value} {target}: {result.reason or how}")
        return
    print(f"{result.state.value} {target}: {result.error_type}: {result.error_message}", file=sys.stderr)
    if refused := hint([(request.task.url, str(result.error_message))]):
        print(refused, file=sys.stderr)
