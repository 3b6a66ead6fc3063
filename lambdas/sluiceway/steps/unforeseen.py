"""Files of a unit that an error struck which nobody foresaw.

Knows when such an error ends the whole invocation, and which end its file has otherwise. Loaded when it happens only:
every import counts at a function's start.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from sluiceway.aws.file_table import Ended
from sluiceway.aws.token_function import TokensThrottledError
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FileState
from sluiceway.redact import redact_error
from sluiceway.steps.failures import Failure

_logger = logging.getLogger(__name__)


def ends_of(broken: Sequence[tuple[FileTask, Exception]], *, others_go_on: bool) -> list[Ended]:
    """FAILED for each of these files, as RecordFailure would have it. Raises an error instead where no other file of
    the unit goes on, for then it ends nobody else's work; and TokensThrottledError in any case: no file is to blame."""
    for _, error in broken:
        if not others_go_on or isinstance(error, TokensThrottledError):
            raise error
    return [(task, _end_of(task, error)) for task, error in broken]


def _end_of(task: FileTask, error: Exception) -> FileResult:
    shown = redact_error(error)
    _logger.error("nobody foresaw what became of %s", task.key, exc_info=shown)
    # What Step Functions would be told by Lambda.
    cause = json.dumps({"errorMessage": str(shown)})
    failure = Failure.of_states({"Error": type(error).__name__, "Cause": cause})
    return FileResult(FileState.FAILED, error_type=failure.type, error_message=failure.message)
