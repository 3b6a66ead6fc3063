"""One large file moved by several functions at once: begun here, its segments moved here, and finished here.

Knows when a file can be split, and how the segments' CRCs become the file's. A split file is verified by CRC alone:
SHA and MD5 need every byte in order. Refuses to know who calls which step and where sums are kept in between.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from sluiceway.errors import (
    LengthMismatchError,
    OutOfTimeError,
    PlanError,
    SourceChangedError,
    SourceRestartError,
)
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState
from sluiceway.landing.facts import target_of
from sluiceway.landing.land import unless_there
from sluiceway.landing.options import Options, Tools
from sluiceway.landing.tally import Tally
from sluiceway.sink.staged import Staged, complete_staged
from sluiceway.sink.upload import Upload
from sluiceway.source.download import Download
from sluiceway.source.probe import Probe, probe
from sluiceway.source.representation import Begun
from sluiceway.source.stated import WANT_COMBINABLE, stated_digests
from sluiceway.transfer.checkpoint import Position
from sluiceway.transfer.checksum import PART_CHECKSUMS, PartChecksum
from sluiceway.transfer.digest import ALGORITHMS
from sluiceway.transfer.pipeline import Outcome, Paused, Transfer
from sluiceway.transfer.plan import Limits, Plan, fits, plan_parts
from sluiceway.transfer.segments import COMBINABLE, MAX_AT_ONCE, PART_BYTES, Segment, SegmentSum, combine, plan_segments
from sluiceway.transfer.verify import Expectation, check_size


@dataclass(frozen=True, slots=True)
class Split:
    """A file being moved in `segments` segments of parts of `part_bytes`, `at_once` of them at a time; only functions
    with more memory can hold parts that are `large`. `stated` are the CRCs that its source states. JSON-ready by
    `asdict`: no URL is in it."""

    upload_id: str
    attempt: str
    validator: str
    length: int
    part_bytes: int
    segment_bytes: int
    segments: int
    stated: Mapping[str, str] = field(default_factory=dict[str, str])
    at_once: int = MAX_AT_ONCE
    large: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Split:
        return cls(**data)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def segment(self, n: int) -> Segment:
        return plan_segments(self.length, self.part_bytes, segment_bytes=self.segment_bytes)[n]


def begin_split(
    task: FileTask,
    options: Options,
    tools: Tools,
    *,
    split_bytes: int,
    segment_bytes: int,
    large_memory_bytes: int | None = None,
) -> Split | FileResult | str:
    """Creates the multipart upload of a file that can be split, or says in words why it cannot be; or that it is
    SKIPPED, as a landing would. Raises SluicewayError as that does. Memory, that of `options` and the larger one, is of
    those who move the segments. `tools.tally`, here and below, has what was measured in either case."""
    checksum = PART_CHECKSUMS[options.part_checksum]
    single = sorted(set(task.digests) - set(COMBINABLE))
    if single:
        return f"its {', '.join(single)} can only be taken over the bytes in order"
    if checksum is None:
        return "part_checksum is none"
    tally = _begun(tools)
    facts = unless_there(task, options, tools.s3, tally, partial(_probe, task, tools, tally))
    if isinstance(facts, FileResult):
        return tally.on(facts)
    stated = stated_digests(facts.headers)
    single = sorted(set(stated) - set(COMBINABLE))
    if single:
        return f"the {', '.join(single)} that its source states can only be taken over the bytes in order"
    if facts.length is None or facts.validator is None or not facts.ranges:
        return "its source does not honour ranges, or gives no strong validator"
    if facts.length <= split_bytes:
        return f"its {facts.length} bytes are not more than split_bytes ({split_bytes})"
    check_size(facts.length, options.max_file_bytes)
    if task.size is not None and task.size != facts.length:
        raise LengthMismatchError(
            f"expected {task.size} bytes as stated by the caller, the source announces {facts.length}"
        )
    small = plan_split(facts.length, options)
    large = replace(options, memory_bytes=large_memory_bytes or options.memory_bytes)
    plan = small or plan_split(facts.length, large)
    if plan is None:
        return f"its {facts.length} bytes need larger parts than the functions that move segments can hold"
    segments = plan_segments(facts.length, plan.part_bytes, segment_bytes=segment_bytes)
    target = target_of(task, options, facts.headers, checksum.name)
    # Left without an upload id, it ends whatever S3 may have begun before its answers were lost.
    with tally.waiting_for_sink(), Upload(tools.s3, target, retries=tally.retries) as upload:
        upload_id = upload.begin()
        upload.keep()
    return Split(
        upload_id=upload_id,
        attempt=upload.attempt,
        validator=facts.validator,
        length=facts.length,
        part_bytes=plan.part_bytes,
        segment_bytes=segment_bytes,
        segments=len(segments),
        stated=stated,
        large=small is None,
    )


def _probe(task: FileTask, tools: Tools, tally: Tally, conditions: Mapping[str, str]) -> Probe:
    headers = {"Want-Repr-Digest": WANT_COMBINABLE, **tools.headers, **conditions}
    with tally.waiting_for_source():
        return probe(tools.client, task.url, headers, on_resume=tally.resumed)


def plan_split(length: int, options: Options) -> Plan | None:
    """The parts of a file that is split; None where they would need more memory. Those that no setting sizes are small,
    so that a segment of a slow source has parts to pause between."""
    room: Any = {"memory_bytes": options.memory_bytes, "uploaders": options.uploaders}
    part_bytes = options.part_bytes
    if not fits(length, part_bytes=part_bytes, **room):
        return None
    if part_bytes is None:
        part_bytes = min(PART_BYTES, plan_parts(length, **room).part_bytes)
    return plan_parts(length, part_bytes=part_bytes, **room)


@dataclass(frozen=True, slots=True)
class SegmentPaused:
    """A segment that ran out of time at `position`. `moved`: it stands further on than it began."""

    position: Position
    moved: bool


def move_segment(
    task: FileTask, options: Options, tools: Tools, split: Split, n: int, position: Position | None = None
) -> SegmentSum | SegmentPaused:
    """Moves segment `n`, or goes on with it. Raises SluicewayError; the upload is left to whoever owns the file."""
    segment = split.segment(n)
    checksum, tally = _checksum(options), _begun(tools)
    target = target_of(task, options, {}, checksum.name)
    upload = Upload(tools.s3, target, upload_id=split.upload_id, attempt=split.attempt, retries=tally.retries)
    end = segment.offset + segment.length
    begin = position or Position(segment.first_part, segment.offset)
    begun = Begun(begin.offset, split.validator, split.length, end)
    sink = _SegmentSink(upload)
    # Part numbers of a split file are dealt out beforehand, so a pause never makes a part of its own.
    whole_parts = Limits(min_part_bytes=split.part_bytes)
    try:
        with tally.waiting_for_source():
            source = tools.client.open(
                task.url, headers=tools.headers, begun=begun, on_resume=tally.resumed, seconds_left=tools.seconds_left
            )
        with source:
            transfer = Transfer(
                _SegmentSource(source, end),
                sink,
                Plan(split.part_bytes, split.part_bytes, 0, whole_parts),
                Expectation(),
                uploaders=options.uploaders,
                max_bytes=split.length,
                checksum=checksum,
                on_progress=tools.on_progress,
                stop=tools.time_left.is_short if tools.time_left else None,
                begin=begin,
                algorithms={*task.digests, *split.stated, checksum.name.lower()},
            )
            try:
                outcome = transfer.run()
            finally:
                tally.add(transfer.waits)
    except OutOfTimeError:
        outcome = Paused(begin)
    except SourceRestartError as error:
        raise SourceChangedError(f"{error}; its other segments are of the file as it was") from error
    if isinstance(outcome, Paused):
        return SegmentPaused(outcome.position, outcome.position.offset > begin.offset)
    return _sum(outcome, sink, checksum, segment.length)


def finish_split(
    task: FileTask, options: Options, tools: Tools, split: Split, sums: Sequence[SegmentSum]
) -> FileResult:
    """Combines the segments' sums, compares them with what was stated, and completes the object; S3 compares the
    whole-object checksum. May be called again after a crash. Raises SluicewayError; then the upload is aborted. What
    the segments took stands on the result if `tools.tally` goes on from it."""
    checksum, tally = _checksum(options), _begun(tools)
    whole = combine(sums)
    digests = {name: f"{value:0{2 * ALGORITHMS[name]}x}" for name, value in whole.crcs.items()}
    authors = {"caller": task.digests, "source": split.stated}
    expectation = Expectation(task.size, {author: stated for author, stated in authors.items() if stated})
    target = target_of(task, options, {}, checksum.name)
    known = {"upload_id": split.upload_id, "attempt": split.attempt}
    with tally.leaving(Upload(tools.s3, target, **known, retries=tally.retries)) as upload:
        if whole.bytes != split.length:
            raise LengthMismatchError(f"expected {split.length} bytes as the source announced, received {whole.bytes}")
        agreed = expectation.verify(whole.bytes, digests)
        parts = -(-split.length // split.part_bytes)
        sent = checksum.encode(whole.crcs[checksum.name.lower()])
        staged = Staged(split.upload_id, split.attempt, split.length, parts, sent, checksum.name)
        with tally.waiting_for_sink():
            etag = complete_staged(tools.s3, task.bucket, task.key, staged, target.condition, retries=tally.retries)
        upload.keep()
    result = FileResult(
        FileState.STORED,
        bytes=whole.bytes,
        digests=digests,
        etag=etag,
        parts=parts,
        verified_by=(*agreed, f"s3:{checksum.name.lower()}"),
        segments=split.segments,
        source_validator=split.validator,
    )
    return tally.on(result)


def abort_split(task: FileTask, options: Options, tools: Tools, split: Split) -> None:
    """Frees what the segments have sent. Raises SinkError."""
    target = target_of(task, options, {}, None)
    Upload(tools.s3, target, upload_id=split.upload_id, attempt=split.attempt).abort()


class _SegmentSource:
    """The bytes before `end` of a download that began in the middle; `length` counts from the file's first byte."""

    def __init__(self, download: Download, end: int) -> None:
        self._download = download
        self.length: int | None = end

    def readinto(self, view: memoryview, /) -> int:
        return self._download.readinto(view)


class _SegmentSink:
    """Sends parts only, be it a single one, and keeps their checksum where a whole file would be completed."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self.checksum = ""

    def put_whole(self, body: memoryview, checksum: str | None, digests: Mapping[str, str]) -> str:
        self._upload.put_part(1, body, checksum)
        return self.complete(len(body), checksum)

    def put_part(self, number: int, body: memoryview, checksum: str | None) -> None:
        self._upload.put_part(number, body, checksum)

    def complete(self, size: int, checksum: str | None) -> str:
        self.checksum = checksum or ""
        return ""


def _sum(outcome: Outcome, sink: _SegmentSink, checksum: PartChecksum, length: int) -> SegmentSum:
    crcs = {name: int(value, 16) for name, value in outcome.digests.items()}
    sent = int.from_bytes(base64.b64decode(sink.checksum), "big")
    return SegmentSum(length, {**crcs, checksum.name.lower(): sent})


def _begun(tools: Tools) -> Tally:
    """What this thread's work is measured with."""
    tally = tools.tally or Tally()
    tally.begin(tools.client)
    return tally


def _checksum(options: Options) -> PartChecksum:
    checksum = PART_CHECKSUMS[options.part_checksum]
    if checksum is None:
        raise PlanError("a file cannot be split without a part checksum; part_checksum became none under way")
    return checksum
