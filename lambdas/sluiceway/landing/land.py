"""One file from its URL to its object: what ProcessFile and `sluiceway copy` share.

Knows how source, transfer and sink are put together, and when a whole file is begun anew. Refuses to know jobs,
tables and functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from sluiceway.errors import (
    CannotResumeError,
    FileExistsInSinkError,
    OutOfTimeError,
    PlanError,
    RangesRefusedError,
    SendAgainError,
    SourceError,
    SourceRestartError,
    SourceStatusError,
    UploadGoneError,
)
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState
from sluiceway.landing.facts import conditions_of, late_tags, target_of
from sluiceway.landing.options import Options, Tools
from sluiceway.landing.relaying import Stint
from sluiceway.landing.tally import Tally
from sluiceway.redact import redact_url
from sluiceway.sink.existing import find_existing
from sluiceway.sink.staged import StagedUpload
from sluiceway.sink.upload import Upload
from sluiceway.source.client import Client
from sluiceway.source.download import Download
from sluiceway.source.representation import Begun
from sluiceway.source.stated import stated_digests
from sluiceway.transfer.checkpoint import Checkpoint
from sluiceway.transfer.checksum import PART_CHECKSUMS
from sluiceway.transfer.digest import ALGORITHMS
from sluiceway.transfer.pipeline import Outcome, Transfer
from sluiceway.transfer.plan import plan_parts
from sluiceway.transfer.verify import Expectation, check_size

T = TypeVar("T")


def land(
    task: FileTask,
    options: Options,
    *,
    client: Client,
    s3: Any,
    headers: Mapping[str, str] | None = None,
    on_progress: Callable[[int], None] | None = None,
    tally: Tally | None = None,
) -> FileResult:
    """Lands one file, however long it takes: STORED, or SKIPPED with a reason. Raises SluicewayError; then no object
    has appeared and no upload is left. `tally` has what was measured in either case."""
    result = land_or_pause(task, options, Tools(client, s3, headers or {}, on_progress, tally=tally))
    if isinstance(result, Checkpoint):
        raise CannotResumeError(f"{redact_url(task.url)}: paused with no limit on its time")
    return result


def land_or_pause(
    task: FileTask, options: Options, tools: Tools, checkpoint: Checkpoint | None = None
) -> FileResult | Checkpoint:
    """Lands one file, or goes on with it from `checkpoint`. When `tools.time_left` runs short it returns a Checkpoint
    for the next invocation and leaves the upload open; otherwise as `land`."""
    tally = tools.tally or Tally.of(checkpoint)
    tally.begin(tools.client)
    stint = Stint.of(checkpoint, tools.time_left)
    while True:
        try:
            result = _attempt(task, options, tools, stint, tally)
            return result if isinstance(result, Checkpoint) else tally.on(result)
        except OutOfTimeError as error:
            return stint.pause(stint.before.position, tally, str(error))
        except RangesRefusedError as error:
            if stint.before.is_begun:
                raise CannotResumeError(f"{error}, and it takes longer than one invocation") from error
            stint = stint.anew(error)
        except (SourceRestartError, UploadGoneError) as error:
            # Between two invocations an upload may expire; one that goes while it is worked on was ended by somebody.
            if isinstance(error, UploadGoneError) and not stint.before.is_begun:
                raise
            stint = stint.anew(error)
            with tally.waiting_for_source():
                tools.client.budget.pause(stint.before.restarts)
        except SendAgainError as error:
            stint = stint.sent_again(error)
        except FileExistsInSinkError as error:
            return tally.on(FileResult(FileState.SKIPPED, reason=str(error)))
        tally.resumed()


def _attempt(task: FileTask, options: Options, tools: Tools, stint: Stint, tally: Tally) -> FileResult | Checkpoint:
    if stint.before.is_begun:
        return _go_on(task, options, tools, stint, tally)
    opened = unless_there(task, options, tools.s3, tally, partial(_open, task, tools, tally))
    if isinstance(opened, FileResult):
        return opened
    with opened as source:
        stated = stated_digests(source.headers)
        target = target_of(task, options, source.headers, _checksum_name(options), stated)
        with tally.leaving(_kind(options)(tools.s3, target, retries=tally.retries)) as upload:
            return _move(task, options, tools, source, upload, stated, stint, tally)


def _go_on(task: FileTask, options: Options, tools: Tools, stint: Stint, tally: Tally) -> FileResult | Checkpoint:
    """As `_attempt`, of a file that another invocation has begun."""
    before, place = stint.before, stint.before.position
    target = target_of(task, options, {}, _checksum_name(options))
    known = {"upload_id": before.upload_id, "attempt": before.attempt}
    with tally.leaving(_kind(options)(tools.s3, target, **known, retries=tally.retries)) as upload:
        with tally.waiting_for_sink():
            upload.load_parts(place.next_part, place.offset)
        try:
            source = _open(task, tools, tally, begun=Begun(place.offset, before.validator, before.length))
        except SourceStatusError as error:
            if _is_renewable(tools, error):
                upload.keep()
            raise
        except OutOfTimeError as error:
            paused = stint.pause(place, tally, str(error))
            upload.keep()
            return paused
        with source:
            try:
                return _move(task, options, tools, source, upload, before.stated, stint, tally)
            except PlanError:
                if tools.may_hand_over:
                    upload.keep()
                raise


def _kind(options: Options) -> type[Upload]:
    return StagedUpload if options.stage else Upload


def _checksum_name(options: Options) -> str | None:
    checksum = PART_CHECKSUMS[options.part_checksum]
    return checksum.name if checksum else None


def _open(
    task: FileTask, tools: Tools, tally: Tally, conditions: Mapping[str, str] | None = None, begun: Begun | None = None
) -> Download:
    if tools.links_renewable:
        from sluiceway.source.expiry import refuse_expired

        refuse_expired(task.url)
    headers = {**tools.headers, **(conditions or {})}
    with tally.waiting_for_source():
        return tools.client.open(
            task.url, headers=headers, begun=begun, on_resume=tally.resumed, seconds_left=tools.seconds_left
        )


def _is_renewable(tools: Tools, error: SourceError) -> bool:
    """Whether `error` is of a link that has died and that a fresh one may replace."""
    return tools.links_renewable and isinstance(error, SourceStatusError) and error.link_died


def unless_there(
    task: FileTask, options: Options, s3: Any, tally: Tally, ask: Callable[[Mapping[str, str]], T]
) -> T | FileResult:
    """What `ask` makes of the source, or the reason why the file need not be moved. `ask` is given the headers that
    make the source answer 304 where the file is the one landed last. Raises what it raises, and SinkError."""
    existing = None
    if options.if_exists != "overwrite":
        with tally.waiting_for_sink():
            existing = find_existing(s3, task.bucket, task.key)
    if existing is None:
        return ask({})
    where = f"s3://{task.bucket}/{task.key}"
    if options.if_exists == "never":
        return FileResult(FileState.SKIPPED, etag=existing.etag, reason=f"{where} exists and if_exists is never")
    conditions = conditions_of(task, existing)
    try:
        return ask(conditions)
    except SourceStatusError as error:
        if error.status != 304 or not conditions:
            raise
    known = {name: existing.metadata[name] for name in ALGORITHMS if name in existing.metadata}
    return FileResult(
        FileState.SKIPPED, digests=known, etag=existing.etag, reason=f"the source is unchanged since {where} was landed"
    )


def _move(
    task: FileTask,
    options: Options,
    tools: Tools,
    source: Download,
    upload: Upload,
    stated: Mapping[str, str],
    stint: Stint,
    tally: Tally,
) -> FileResult | Checkpoint:
    authors = {author: digests for author, digests in (("caller", task.digests), ("source", stated)) if digests}
    source.is_vouched_for = bool(authors) or task.size is not None
    begin = stint.before.position if stint.before.is_begun else None
    expectation = Expectation(task.size, authors)
    # Before the plan, which would name the memory, or ask for more, for a file that is refused with any.
    expectation.check_announced(source.length)
    check_size(source.length or 0, options.max_file_bytes)
    plan = plan_parts(
        source.length,
        memory_bytes=options.memory_bytes,
        uploaders=options.uploaders,
        part_bytes=options.part_bytes,
        max_file_bytes=options.max_file_bytes,
        limits=options.limits,
        first_part=begin.next_part if begin else 1,
        offset=begin.offset if begin else 0,
    )
    transfer = Transfer(
        source,
        upload,
        plan,
        expectation,
        uploaders=options.uploaders,
        max_bytes=options.max_file_bytes,
        checksum=PART_CHECKSUMS[options.part_checksum],
        on_progress=tools.on_progress,
        stop=tools.time_left.is_short if tools.time_left else None,
        is_mendable=(lambda error: _is_renewable(tools, error)) if tools.links_renewable else None,
        begin=begin,
        cores=options.cores,
    )
    try:
        outcome = transfer.run()
    finally:
        tally.add(transfer.waits)
    if isinstance(outcome, Outcome):
        result = _result(outcome, source.validator)
        if isinstance(upload, StagedUpload) and upload.staged is not None:
            return replace(result, state=FileState.STAGED, etag=None, staged=upload.staged.to_dict())
        tags = late_tags(options, result) if result.parts > 1 else None
        if tags is not None:
            with tally.waiting_for_sink():
                upload.tag(tags)
        return result
    shown = redact_url(task.url)
    if outcome.error is not None and outcome.position.offset == stint.before.position.offset:
        upload.keep()  # of what an earlier invocation had sent; where there is none, nothing was begun
        raise outcome.error
    if not source.resumable:
        if outcome.error is not None:
            raise outcome.error
        why = "it takes longer than one invocation and has no ranges or no strong validator"
        return stint.give_up(tally, CannotResumeError(f"{shown}: {why}"))
    paused = stint.pause(outcome.position, tally, shown)
    upload.keep()
    paused = replace(
        paused,
        upload_id=upload.upload_id,
        attempt=upload.attempt,
        validator=source.validator,
        length=source.length,
        stated=stated,
    )
    if isinstance(outcome.error, SourceStatusError):
        outcome.error.checkpoint = paused.to_dict()
        raise outcome.error
    return paused


def _result(outcome: Outcome, validator: str | None) -> FileResult:
    return FileResult(
        FileState.STORED,
        bytes=outcome.bytes,
        digests=outcome.digests,
        etag=outcome.etag,
        parts=outcome.parts,
        verified_by=outcome.verified_by,
        source_validator=validator,
    )
