"""How many of a job's files ended how, and what that makes of the job.

Knows the arithmetic of a job's end. Refuses to know where counters are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sluiceway.jobs.files import FileResult
from sluiceway.jobs.states import FILE_ENDS, FileState, JobState

# STAGED is no end, but how many files came so far decides whether any becomes visible.
# So does RETRY_LINK, which sends the job back for fresh links. SEND_AGAIN is counted for who looks into it.
COUNTED = {state: state.value.lower() for state in FileState}


@dataclass(frozen=True, slots=True)
class Counts:
    """Files by their end, how often one was `staged`, had to `retry_link` or to `send_again`, and `bytes` in S3: only
    stored files count theirs."""

    stored: int = 0
    skipped: int = 0
    rejected: int = 0
    failed: int = 0
    cancelled: int = 0
    staged: int = 0
    retry_link: int = 0
    send_again: int = 0
    bytes: int = 0

    def __add__(self, other: Counts) -> Counts:
        mine, theirs = asdict(self), asdict(other)
        return Counts(**{name: mine[name] + theirs[name] for name in mine})

    def __sub__(self, other: Counts) -> Counts:
        mine, theirs = asdict(self), asdict(other)
        return Counts(**{name: mine[name] - theirs[name] for name in mine})

    @property
    def landed(self) -> int:
        return self.stored + self.skipped

    @property
    def not_landed(self) -> int:
        return self.rejected + self.failed + self.cancelled

    @property
    def files(self) -> dict[str, int]:
        """The counters without the bytes, as events, summary and CompleteJob's answer carry them."""
        return {COUNTED[state]: getattr(self, COUNTED[state]) for state in FileState if state in FILE_ENDS}

    @classmethod
    def of(cls, results: Iterable[FileResult]) -> Counts:
        """Counts what each file has come to."""
        total = cls()
        for result in results:
            stored_bytes = result.bytes if result.state is FileState.STORED else 0
            total += cls(**{COUNTED[result.state]: 1, "bytes": stored_bytes})
        return total


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How many files of a job may be lost: `percent` of all, and where it is given no more than `files`."""

    percent: float = 100.0
    files: int | None = None

    @property
    def is_boundless(self) -> bool:
        """No number of files is past it."""
        return self.percent >= 100 and self.files is None

    def is_passed(self, lost: int, files_total: int) -> bool:
        return self._is_past_percent(lost, files_total) or (self.files is not None and lost > self.files)

    def told(self, lost: int, files_total: int) -> str:
        """The limit that was passed, in words."""
        if self._is_past_percent(lost, files_total):
            return f"failed_files_percent allows {self.percent:g} %"
        return f"failed_files allows {self.files}"

    def _is_past_percent(self, lost: int, files_total: int) -> bool:
        return lost * 100 > self.percent * files_total


def too_many_failed(counts: Counts, files_total: int, tolerance: Tolerance) -> bool:
    """Whether the files that failed or were rejected are past the limit. Cancelled ones are the consequence of a
    limit, never its cause."""
    return tolerance.is_passed(counts.rejected + counts.failed, files_total)


def shortfall(counts: Counts, files_total: int, tolerance: Tolerance) -> tuple[str, str]:
    """Why a job that did not break is FAILED all the same: the name of that error, and a text for people."""
    lost = counts.rejected + counts.failed
    told = f"{lost} of {files_total} files failed or were rejected"
    if too_many_failed(counts, files_total, tolerance):
        return "TooManyFilesFailedError", f"{told}; {tolerance.told(lost, files_total)}"
    return "NoFileLandedError", f"none of the job's files landed: {told}, {counts.cancelled} were cancelled"


def verdict(
    counts: Counts, files_total: int, tolerance: Tolerance, *, cancelled: bool = False, error: bool = False
) -> JobState:
    """The end of a job. `cancelled`: somebody stopped it. `error`: it broke outside its files, as an export API
    that failed or a manifest that could not be read."""
    if cancelled:
        return JobState.CANCELLED
    if error:
        return JobState.FAILED
    if counts.landed == files_total:
        return JobState.COMPLETED
    if counts.landed == 0 or too_many_failed(counts, files_total, tolerance):
        return JobState.FAILED
    return JobState.COMPLETED_WITH_FAILURES
