"""What S3 can do to a landing, each by name, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.request import Request, urlopen

from local.http import Response
from sluiceway.sink.direct import put_object
from tests.faults.harness import BIG, FAILED, KEY, OTHER, SKIPPED, SMALL, STORED, Ran, Row
from tests.faults.source import File, Step, serve
from tests.faults.store import ALWAYS, BUCKET, Act, Fault, Store, after, hang_up, lose_reply, refuse

SLOW_DOWN = refuse(503, "SlowDown")
BROKEN = refuse(500, "InternalError")
DENIED = refuse(403, "AccessDenied")
CONFLICT = refuse(409, "ConditionalRequestConflict")
GONE = refuse(404, "NoSuchUpload")
NEVER = {"if_exists": "never"}
SMALL_SOURCE: list[Step] = [serve(SMALL)]
# botocore tries five times; the call's own error is then the landing's.
TRIES = 5


def on(operation: str, act: Act, times: int = 1) -> Callable[[Store], list[Fault]]:
    return lambda store: [Fault(operation, act, times)]


def stalls(operation: str, times: int = 1) -> Callable[[Store], list[Fault]]:
    return lambda store: [Fault(operation, store.stall, times)]


def put(file: File, **more: Any) -> Callable[[Store, Any], None]:
    """An object stands at the key already."""

    def act(store: Store, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=file.body, **more)

    return act


def another_lands(operation: str, then: Act | None = None) -> Callable[[Store], list[Fault]]:
    """Another attempt of the product puts its object there just before S3 acts."""

    def faults(store: Store) -> list[Fault]:
        def land() -> None:
            headers = {"x-amz-meta-sluiceway-attempt": "another"}
            url = f"{store.url}/{BUCKET}/{KEY}?x-id=PutObject"
            urlopen(Request(url, OTHER.body, headers, method="PUT")).close()

        # The other's own PutObject must pass: it comes while the first one is held.
        return [Fault(operation, after(land, then))]

    return faults


def error_in_ok(real: Callable[[], Response]) -> Response:
    """S3 may begin a 200 before it knows that completing fails (API Reference, CompleteMultipartUpload)."""
    body = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>planted</Message></Error>"
    return Response(200, [("Content-Type", "application/xml")], body)


def in_no_year(real: Callable[[], Response]) -> Response:
    """The store's clock is broken."""
    response = real()
    others = [each for each in response.headers if each[0].lower() != "date"]
    return replace(response, headers=[*others, ("Date", f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT")])


def called(operation: str, times: int) -> Callable[[Ran], None]:
    def check(ran: Ran) -> None:
        assert ran.calls.count(operation) == times, ran.calls

    return check


def retried(ran: Ran) -> None:
    assert ran.result.part_retries >= 1


def tried_and_counted(operation: str, tries: int = TRIES) -> Callable[[Ran], None]:
    def check(ran: Ran) -> None:
        called(operation, tries)(ran)
        assert ran.result.part_retries == tries - 1

    return check


def not_sent(ran: Ran) -> None:
    assert ran.requests == []
    assert set(ran.calls) == {"head"}


def says(*words: str) -> Callable[[Ran], None]:
    def check(ran: Ran) -> None:
        text = (ran.result.error_message or "") + (ran.result.reason or "")
        assert all(word in text for word in words), text

    return check


TRANSIENT: list[Row] = [
    Row(f"S3 {operation}: {name} {times}", (STORED, None), lands=BIG, faults=on(operation, act, times), check=retried)
    for operation in ("create", "part-2", "complete")
    for name, act, times in (("SlowDown", SLOW_DOWN, 1), ("500", BROKEN, 3), ("hung up", hang_up, 1))
]

LOST: list[Row] = [
    Row("S3 create: reply lost", (STORED, None), lands=BIG, faults=on("create", lose_reply), check=called("create", 2)),
    Row("S3 part: reply lost", (STORED, None), lands=BIG, faults=on("part-2", lose_reply), check=retried),
    Row("S3 part: timeout", (STORED, None), lands=BIG, faults=stalls("part-2"), s3_timeout=0.5, check=retried),
    Row("S3 complete: reply lost", (STORED, None), lands=BIG, faults=on("complete", lose_reply)),
    Row("S3 complete: every reply lost", (STORED, None), lands=BIG, faults=on("complete", lose_reply, ALWAYS)),
    Row("S3 complete: every reply lost, and HEAD fails", (FAILED, "SinkError"), lands=BIG, faults=lambda store: [
        Fault("complete", lose_reply, ALWAYS), Fault("head", BROKEN, ALWAYS)],
        check=says("asked whose object is there")),
    Row("S3 complete: reply lost, never", (STORED, None), lands=BIG, faults=on("complete", lose_reply), options=NEVER),
    Row("S3 complete: timeout", (STORED, None), lands=BIG, faults=stalls("complete"), s3_timeout=0.5),
    Row("S3 abort: reply lost", (FAILED, "SinkError"), faults=lambda store: [
        Fault("part-2", BROKEN, ALWAYS), Fault("abort", lose_reply)]),
    Row("S3 put: reply lost", (STORED, None), SMALL_SOURCE, SMALL, faults=on("put", lose_reply)),
    Row("S3 put: every reply lost", (STORED, None), SMALL_SOURCE, SMALL, faults=on("put", lose_reply, ALWAYS)),
    Row("S3 put: reply lost, never", (STORED, None), SMALL_SOURCE, SMALL, faults=on("put", lose_reply), options=NEVER),
    Row("S3 create: every reply lost", (FAILED, "SinkError"), faults=on("create", lose_reply, ALWAYS)),
]  # fmt: skip

LASTING: list[Row] = [
    Row("S3 create: SlowDown for ever", (FAILED, "SinkError"), faults=on("create", SLOW_DOWN, ALWAYS),
        check=called("create", TRIES)),
    Row("S3 create: denied", (FAILED, "SinkDeniedError"), faults=on("create", DENIED, ALWAYS),
        check=called("create", 1)),
    Row("S3 part: 500 for ever", (FAILED, "SinkError"), faults=on("part-1", BROKEN, ALWAYS),
        check=tried_and_counted("part-1")),
    Row("S3 part: hung up for ever", (FAILED, "SinkError"), faults=on("part-1", hang_up, ALWAYS),
        check=tried_and_counted("part-1")),
    Row("S3 part: denied", (FAILED, "SinkDeniedError"), faults=on("part-2", DENIED, ALWAYS), check=called("part-2", 1)),
    Row("S3 part: upload expired", (FAILED, "UploadGoneError"), faults=on("part-2", GONE, ALWAYS),
        check=called("part-2", 1)),
    Row("S3 part: bytes changed on their way", (FAILED, "SinkIntegrityError"),
        faults=on("part-1", refuse(400, "BadDigest"), ALWAYS), check=called("part-1", 1)),
    Row("S3 complete: 500 for ever", (FAILED, "SinkError"), faults=on("complete", BROKEN, ALWAYS),
        check=called("complete", TRIES)),
    Row("S3 complete: denied", (FAILED, "SinkDeniedError"), faults=on("complete", DENIED, ALWAYS)),
    Row("S3 complete: upload expired", (FAILED, "UploadGoneError"), faults=on("complete", GONE, ALWAYS)),
    Row("S3 complete: upload expired, an old object stands", (FAILED, "UploadGoneError"), lands=OTHER,
        before=put(OTHER), faults=on("complete", GONE, ALWAYS)),
    Row("S3 complete: an error in a 200", (STORED, None), lands=BIG, faults=on("complete", error_in_ok), check=retried),
    Row("S3 put: SlowDown for ever", (FAILED, "SinkError"), SMALL_SOURCE, faults=on("put", SLOW_DOWN, ALWAYS),
        check=called("put", TRIES)),
    Row("S3 put: denied", (FAILED, "SinkDeniedError"), SMALL_SOURCE, faults=on("put", DENIED, ALWAYS),
        check=called("put", 1)),
    Row("S3 put: timeout", (STORED, None), SMALL_SOURCE, SMALL, faults=stalls("put"), s3_timeout=0.5),
    Row("S3 put: KMS key disabled", (FAILED, "SinkDeniedError"), SMALL_SOURCE,
        faults=on("put", refuse(400, "KMS.DisabledException"), ALWAYS), check=called("put", 1)),
    Row("S3 bucket is missing", (FAILED, "SinkDeniedError"), SMALL_SOURCE, task={"bucket": "no-such-bucket"},
        check=says("NoSuchBucket")),
    Row("S3 bucket is missing for a large file", (FAILED, "SinkDeniedError"), task={"bucket": "no-such-bucket"},
        check=called("create", 1)),
    Row("S3 abort: 500 once", (FAILED, "SinkDeniedError"), faults=lambda store: [
        Fault("part-2", DENIED, ALWAYS), Fault("abort", BROKEN)], check=called("abort", 2)),
    Row("S3 abort: denied", (FAILED, "SinkError"), faults=lambda store: [
        Fault("part-2", BROKEN, ALWAYS), Fault("abort", DENIED, ALWAYS)], leaves_upload=True,
        check=says("the abort failed")),
    Row("S3 create: a date that cannot be", (STORED, None), lands=BIG, faults=on("create", in_no_year)),
    Row("S3 refuses the tag", (STORED, None), lands=BIG, faults=on("tag", DENIED, ALWAYS)),
    Row("S3 refuses to list uploads", (STORED, None), lands=BIG, faults=on("list-uploads", DENIED, ALWAYS)),
]  # fmt: skip


def warm(store: Store, s3: Any) -> None:
    """An object has been stored before: the next PUTs take the short way past botocore."""
    put_object(s3, Bucket=BUCKET, Key="warm", Body=memoryview(b"warm"), on_retry=list)


SHORT_WAY: list[Row] = [
    Row("S3 direct put", (STORED, None), SMALL_SOURCE, SMALL, before=warm, check=called("put", 1)),
    Row("S3 direct put: SlowDown", (STORED, None), SMALL_SOURCE, SMALL, before=warm, faults=on("put", SLOW_DOWN)),
    Row("S3 direct put: hung up", (STORED, None), SMALL_SOURCE, SMALL, before=warm, faults=on("put", hang_up)),
    Row("S3 direct put: timeout", (STORED, None), SMALL_SOURCE, SMALL, before=warm, faults=stalls("put"),
        s3_timeout=0.5),
    Row("S3 direct put: reply lost", (STORED, None), SMALL_SOURCE, SMALL, before=warm, faults=on("put", lose_reply)),
    Row("S3 direct put: reply lost, never", (STORED, None), SMALL_SOURCE, SMALL, before=warm, options=NEVER,
        faults=on("put", lose_reply)),
    Row("S3 direct put: every reply lost, never", (STORED, None), SMALL_SOURCE, SMALL, before=warm, options=NEVER,
        faults=on("put", lose_reply, ALWAYS)),
    Row("S3 direct put: taken, never", (SKIPPED, None), SMALL_SOURCE, OTHER, before=warm, options=NEVER,
        faults=another_lands("put")),
    Row("S3 direct put: 409 once", (STORED, None), SMALL_SOURCE, SMALL, before=warm, options=NEVER,
        faults=on("put", CONFLICT)),
    Row("S3 direct put: denied", (FAILED, "SinkDeniedError"), SMALL_SOURCE, before=warm,
        faults=on("put", DENIED, ALWAYS), check=called("put", 1)),
    Row("S3 direct parts", (STORED, None), lands=BIG, before=warm, check=called("part-2", 1)),
    Row("S3 direct part: SlowDown", (STORED, None), lands=BIG, before=warm, faults=on("part-2", SLOW_DOWN),
        check=retried),
    Row("S3 direct part: hung up", (STORED, None), lands=BIG, before=warm, faults=on("part-2", hang_up), check=retried),
    Row("S3 direct part: timeout", (STORED, None), lands=BIG, before=warm, faults=stalls("part-2"), s3_timeout=0.5,
        check=retried),
    Row("S3 direct part: reply lost", (STORED, None), lands=BIG, before=warm, faults=on("part-2", lose_reply),
        check=retried),
    Row("S3 direct part: every reply lost", (FAILED, "SinkError"), before=warm, faults=on("part-2", lose_reply, ALWAYS),
        check=tried_and_counted("part-2", TRIES + 1)),
    Row("S3 direct part: denied", (FAILED, "SinkDeniedError"), before=warm, faults=on("part-2", DENIED, ALWAYS),
        check=called("part-2", 1)),
    Row("S3 direct part: upload expired", (FAILED, "UploadGoneError"), before=warm, faults=on("part-2", GONE, ALWAYS),
        check=called("part-2", 1)),
    Row("S3 direct part: bytes changed on their way", (FAILED, "SinkIntegrityError"), before=warm,
        faults=on("part-2", refuse(400, "BadDigest"), ALWAYS), check=called("part-2", 2)),
]  # fmt: skip


def refused_for_its_checksum(operation: str) -> Callable[[Ran], None]:
    """Told once, with the setting that helps; nothing was landed with less of a check than was promised."""

    def check(ran: Ran) -> None:
        says("part_checksum", "crc32")(ran)
        assert [call for call in ran.calls if call not in ("head", "list-uploads")] == [operation]

    return check


CHECKSUM: list[Row] = [
    Row(f"S3 {operation}: knows no CRC64NVME, {status}", (FAILED, "SinkError"), steps,
        faults=on(operation, refuse(status, code), ALWAYS), check=refused_for_its_checksum(operation))
    for operation, steps in (("create", ()), ("put", SMALL_SOURCE))
    for status, code in ((400, "InvalidRequest"), (501, "NotImplemented"))
]  # fmt: skip


def head_fails_later(*faults: Fault) -> Callable[[Store], list[Fault]]:
    """The HEAD before the file is read is answered, those after it are not."""
    return lambda store: [*faults, Fault("head", lambda real: real()), Fault("head", BROKEN, ALWAYS)]


REPEATED: list[Row] = [
    Row("S3 complete: reply lost, then 409", (STORED, None), lands=BIG, options=NEVER,
        faults=lambda store: [Fault("complete", lose_reply), Fault("complete", CONFLICT)], check=called("create", 1)),
    Row("S3 complete: hung up, then 409", (STORED, None), lands=BIG, options=NEVER,
        faults=lambda store: [Fault("complete", hang_up), Fault("complete", CONFLICT)], check=called("create", 2)),
    *[Row(f"S3 {way}: reply lost, then 409", (STORED, None), SMALL_SOURCE, SMALL, options=NEVER, before=before,
        faults=lambda store: [Fault("put", lose_reply), Fault("put", CONFLICT)], check=called("put", 2))
      for way, before in (("put", None), ("direct put", warm))],
    Row("S3 put: reply lost, then 409, and HEAD fails", (FAILED, "SinkError"), SMALL_SOURCE, SMALL, options=NEVER,
        faults=head_fails_later(Fault("put", lose_reply), Fault("put", CONFLICT)),
        check=says("asked whose object is there")),
    Row("S3 put: reply lost, then 412, and HEAD fails", (FAILED, "SinkError"), SMALL_SOURCE, SMALL, options=NEVER,
        faults=head_fails_later(Fault("put", lose_reply)), check=says("asked whose object is there")),
    Row("S3 complete: reply lost, then 412, and HEAD fails", (FAILED, "SinkError"), lands=BIG, options=NEVER,
        faults=head_fails_later(Fault("complete", lose_reply), Fault("complete", refuse(412, "PreconditionFailed"))),
        check=says("asked whose object is there")),
    Row("never, taken, and who took it may not be asked", (SKIPPED, None), SMALL_SOURCE, OTHER, options=NEVER,
        faults=lambda store: [*another_lands("put")(store), Fault("head", DENIED, ALWAYS)]),
]  # fmt: skip

COMMIT: list[Row] = [
    Row("S3 complete: 409 once", (STORED, None), lands=BIG, faults=on("complete", CONFLICT), options=NEVER,
        check=called("create", 2)),
    Row("S3 complete: 409 for ever", (FAILED, "SendAgainError"), faults=on("complete", CONFLICT, ALWAYS), options=NEVER,
        check=called("create", 2)),
    Row("S3 put: 409 once", (STORED, None), SMALL_SOURCE, SMALL, faults=on("put", CONFLICT), options=NEVER,
        check=called("put", 2)),
    Row("never, the key is taken", (SKIPPED, None), lands=OTHER, before=put(OTHER), options=NEVER, check=not_sent),
    Row("never, taken while a large file moved", (SKIPPED, None), lands=OTHER, faults=another_lands("complete"),
        options=NEVER),
    Row("never, taken while a small file moved", (SKIPPED, None), SMALL_SOURCE, OTHER, faults=another_lands("put"),
        options=NEVER),
    Row("never, taken and the upload is gone", (SKIPPED, None), lands=OTHER, faults=another_lands("complete", GONE),
        options=NEVER),
    Row("overtaken while parts are sent", (SKIPPED, None), lands=OTHER, faults=another_lands("part-2", GONE)),
    Row("overtaken, and the upload is gone", (SKIPPED, None), lands=OTHER, faults=another_lands("complete", GONE)),
    Row("overwrite", (STORED, None), lands=BIG, before=put(OTHER)),
    Row("overwrite by what is wrong", ("REJECTED", "DigestMismatchError"), lands=OTHER, before=put(OTHER),
        task={"digests": {"sha1": "0" * 40}}),
]  # fmt: skip

STORE_ROWS = [*TRANSIENT, *LOST, *LASTING, *SHORT_WAY, *CHECKSUM, *REPEATED, *COMMIT]
