"""Many small files, one process: what an invocation of ProcessFile does with each file of a batch, in as many threads,
but for its tables: who may begin, and what has ended.

Arguments: URL ENDPOINT BUCKET COUNT HOST THREADS. Prints how many files have the SHA-256 of the first.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from sluiceway.aws.rows import JobRow
from sluiceway.config import Config
from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.jobs.states import JobState
from sluiceway.landing.land import land_or_pause
from sluiceway.landing.relaying import TimeLeft
from sluiceway.landing.tally import Tally
from sluiceway.source.client import Client
from sluiceway.source.policy import UrlPolicy
from sluiceway.steps.progress import Progress
from sluiceway.steps.tools import options_of, tools_for
from sluiceway.wiring import Services

MEMORY_BYTES = 512 * 1024**2
INVOCATION_MS = 900_000
DESTINATION = {"if_exists": "overwrite", "storage_class": None, "kms_key_id": None, "tags": {}, "metadata": {}}
LIMITS = {"max_file_bytes": 5 * 1024**3}


def main(url: str, endpoint: str, bucket: str, count: int, host: str, threads: int) -> None:
    os.environ["AWS_ENDPOINT_URL_S3"] = endpoint
    services = Services(Config("jobs", "jobs", "bus", bucket, MEMORY_BYTES, allowed_sources=(host,)))
    services.source = Client(UrlPolicy([host]), ca_bundle=os.environ.get("BENCH_CA"))
    job = JobRow("bench", JobState.TRANSFERRING, 1, "", "", "", "", DESTINATION, LIMITS)
    options, time_left = options_of(services, job, threads), TimeLeft.of(INVOCATION_MS)

    def land(n: int) -> str:
        task = FileTask(url, bucket, f"small/{n}", n=n)
        progress, tally = Progress(services, job.job_id, task), Tally()
        tools = tools_for(services, job, task, progress, time_left)
        result = land_or_pause(task, options, replace(tools, tally=tally))
        progress.end()
        return result.digests["sha256"] if isinstance(result, FileResult) else "paused"

    with ThreadPoolExecutor(threads, "file") as pool:
        digests = list(pool.map(land, range(count)))
    print(digests.count(digests[0]))


main(*sys.argv[1:4], int(sys.argv[4]), sys.argv[5], int(sys.argv[6]))
