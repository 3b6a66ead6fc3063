"""The first step of a file that asks to be moved in segments: is it, must it go in one piece, or has it ended already.

Knows the table: what an earlier run of the job landed is not split again. Refuses to know how segments are cut:
segmenting.py begins them.
"""

from __future__ import annotations

from sluiceway.aws.file_table import Ended
from sluiceway.aws.rows import JobRow
from sluiceway.errors import SluicewayError
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import FILE_ENDS
from sluiceway.landing.relaying import TimeLeft
from sluiceway.landing.splitting import Split
from sluiceway.landing.tally import Tally
from sluiceway.steps.announcing import announce_files
from sluiceway.steps.fairness import NotNow, Patience
from sluiceway.steps.looking import Lookout
from sluiceway.steps.refreshing import retry_link, wants_link
from sluiceway.steps.rerunning import still_stored
from sluiceway.steps.segmenting import try_split
from sluiceway.wiring import Services


def begin_split(
    services: Services, job: JobRow, task: FileTask, before: FileResult | None, time_left: TimeLeft
) -> Split | list[Ended] | str | None:
    """The split; or the end of a file that is stored still, `before` being how an earlier run landed it, that need not
    be moved, or that its source refused already; or in words why it must go in one piece. None: its host had no turn
    for it within this invocation."""

    def begin(patience: Patience) -> Split | FileResult | str | None:
        tally = Tally()
        try:
            stored = still_stored(services, task, before) if before else None
            return stored or try_split(services, job, task, tally, patience)
        except NotNow:
            return None
        except SluicewayError as error:
            return tally.on(retry_link(job, error, None) if wants_link(job, error) else FileResult.of_error(error))

    split = Lookout(services, job, time_left).run(begin)
    if not isinstance(split, FileResult):
        return split
    recorded = services.files.end(job.job_id, job.run, [(task, split)])
    announce_files(services, job.job_id, recorded)
    return [pair for pair in recorded if pair[1].state in FILE_ENDS]
