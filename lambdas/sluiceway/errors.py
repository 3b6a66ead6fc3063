"""Every error Sluiceway raises on purpose, in one tree.

Knows whose fault a failure is (`blame`) and what becomes of the file it struck (`verdict`). The class names are
an interface: Step Functions matches on them, reports and events carry them. Refuses to know how any library
spells its own errors: each adapter translates those in one place, `raise ... from`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


class SluicewayError(Exception):
    """A failure that Sluiceway understood. The text never holds a query string, a user-info or a secret."""

    blame: ClassVar[str] = "sluiceway"
    verdict: ClassVar[str] = "FAILED"

    @property
    def type(self) -> str:
        return type(self).__name__


class SourceError(SluicewayError):
    """The server that hands out the file did not hand it out whole."""

    blame = "source"


class SourceUnreachableError(SourceError):
    """No connection: the name did not resolve, or the connection was refused, reset or timed out."""


class SourceStatusError(SourceError):
    """The server answered with a status that carries no body to store. `status` is the HTTP status code; `link_died`:
    the link, or what it was asked with, has expired or been revoked, and a fresh one may do; `checkpoint` is where
    whoever has one can go on, when the old one died in the middle of the file."""

    def __init__(
        self, message: str, *, status: int, link_died: bool = False, checkpoint: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.link_died = link_died
        self.checkpoint = checkpoint


class LinkExpiredError(SourceStatusError):
    """The link says itself that it has expired: its server, which would answer 403, was not asked."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=403, link_died=True)


class SourceTruncatedError(SourceError):
    """The body ended before the length that the server itself had announced."""


class SourceProtocolError(SourceError):
    """The server broke HTTP: bad framing, a nonsensical header, a redirect without a target."""


class SourceRestartError(SourceError):
    """The body broke off or changed and cannot be continued: only reading it again from its first byte can help."""


class SourceChangedError(SourceError):
    """The file changed at its source while segments of it were being moved."""


class RangesRefusedError(SourceRestartError):
    """Asked for the rest of an unchanged body, the server sent the whole of it again, or another piece."""


class CannotResumeError(SourceError):
    """The file needs more time than one invocation has, and its source cannot resume: no ranges or no validator."""


class OutOfTimeError(SluicewayError):
    """The invocation ends before the source has done what it was asked for. What was moved is for the next one."""


class IntegrityError(SluicewayError):
    """The bytes that came are not the bytes that were promised. Both values stand in the text."""

    blame = "source"
    verdict = "REJECTED"


class DigestMismatchError(IntegrityError):
    """A digest computed in flight disagrees with the one stated for the file."""


class LengthMismatchError(IntegrityError):
    """The number of bytes received disagrees with the `size` stated for the file."""


class PolicyError(SluicewayError):
    """A rule forbids it. The text names the rule."""

    blame = "caller"
    verdict = "REJECTED"


class TooLargeError(PolicyError):
    """The file exceeds `max_file_bytes`, by its Content-Length or by count while it was read."""


class SinkError(SluicewayError):
    """S3 did not take the bytes."""

    blame = "sink"


class SinkDeniedError(SinkError):
    """S3 refused access, or the bucket does not exist: retrying changes nothing."""


class ObjectMissingError(SinkError):
    """There is no object at the key."""


class FileExistsInSinkError(SinkError):
    """A conditional write found another object at the key."""


class UploadGoneError(SinkError):
    """The multipart upload no longer exists: completed, aborted or expired."""


class SendAgainError(SinkError):
    """S3 answered 409: the upload is void and every part must be sent again in a new one."""


class SinkIntegrityError(SinkError):
    """S3 computed another checksum than we sent: the bytes changed on their way there."""


class PlanError(SluicewayError):
    """The file cannot be cut into parts within S3's limits and the function's memory."""

    blame = "caller"


class ExportError(SluicewayError):
    """The export API reported a failure, or answered what no export API should."""

    blame = "source"


class ExportFailedError(ExportError):
    """The export API itself says that the export failed."""


class ExportTimeoutError(ExportError):
    """The export was not done in the time or the number of polls it was given, or the API gave it up itself."""


class UnknownStatusError(ExportError):
    """The export API named a state that the job document does not know."""


class ReplyNotJsonError(ExportError):
    """The export API answered with something else than JSON."""


class NotInReplyError(ExportError):
    """A JMESPath of the job document finds nothing, or nothing of use, in the reply."""


class ListChangedError(ExportError):
    """The list of files changed between its pages, or comes to no end."""


class ExportExpiredError(ExportError):
    """The export API no longer keeps the files of the export."""


class CredentialsRefusedError(ExportError):
    """The export API gives no token for the credentials of the job, or does not take the one it gave."""


class CallbackRejectedError(ExportError):
    """A call that claims to come from the export API is not its own, too old, or was made before."""


class JobError(SluicewayError):
    """The job cannot go on."""

    blame = "caller"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One mistake in a document. `path` is like `source.files[3].url`; `expected` is empty where `found` says all."""

    path: str
    found: str
    expected: str = ""

    def __str__(self) -> str:
        told = f"expected {self.expected}, found {self.found}" if self.expected else self.found
        return f"{self.path}: {told}"


class InvalidJobError(JobError):
    """The job document is wrong. `mistakes` lists every wrong field, not only the first."""

    def __init__(self, mistakes: list[FieldError]) -> None:
        super().__init__("; ".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)


class DuplicateTargetError(JobError):
    """Two files of one job would land at the same bucket and key. `pairs` says so of each two of them."""

    def __init__(self, pairs: list[str]) -> None:
        super().__init__("; ".join(pairs))
        self.pairs = tuple(pairs)


class SegmentsMissingError(JobError):
    """A split file came to its end before all its segments had come to theirs."""


class SplitOverError(JobError):
    """Of a run that has ended, or by S3's word, what was sent of a split file is given up: it must be begun anew."""


class NoProgressError(JobError):
    """Invocation after invocation ran out of time without moving a byte."""


class JobIsLiveError(JobError):
    """Another execution owns a live job of this id."""


class NotOwnerError(JobError):
    """The execution does not own the job, or no longer: whatever it wanted to write is void."""


class JobStoppedError(JobError):
    """The job ended before this file had come to an end of its own: it was cancelled, timed out or broke."""


class SecretError(JobError):
    """A secret that the job names cannot be read or does not hold what it should. The text never shows its value."""


class TokenNotIssuedError(SluicewayError):
    """The function that issues access tokens could not be asked, or broke."""


class PublishError(SluicewayError):
    """The event bus went on refusing an event."""


class ContentionError(SluicewayError):
    """The table went on refusing a write because others wrote the same rows: retrying later helps."""


class IllegalTransitionError(JobError):
    """A job was asked to go from one state to another that may not follow it."""


def error_named(name: str, message: str) -> SluicewayError | None:
    """The error that another function told by its class and its text. None for a name that is none of these, or of an
    error that is made of more than a text."""
    found = globals().get(name)
    if not (isinstance(found, type) and issubclass(found, SluicewayError)):
        return None
    return found(message) if found.__init__ is SluicewayError.__init__ else None
