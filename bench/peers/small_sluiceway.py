"""Many small files, one process: what one invocation of ProcessFile does with a batch, without its tables.

Arguments: URL ENDPOINT BUCKET COUNT HOST. Prints how many files have the SHA-256 of the first.
"""

import os
import sys

from sluiceway.aws.session import new_session
from sluiceway.jobs.files import FileTask
from sluiceway.landing.land import land
from sluiceway.landing.options import Options
from sluiceway.sink.client import s3_client
from sluiceway.source.client import Client
from sluiceway.source.policy import UrlPolicy


def main(url: str, endpoint: str, bucket: str, count: int, host: str) -> None:
    os.environ["AWS_ENDPOINT_URL_S3"] = endpoint
    ca = os.environ.get("BENCH_CA")
    client, s3, options = (
        Client(UrlPolicy([host]), ca_bundle=ca),
        s3_client(new_session(), ca_bundle=ca),
        Options(job_id="bench"),
    )
    digests = [
        land(FileTask(url, bucket, f"small/{n}", n=n), options, client=client, s3=s3).digests["sha256"]
        for n in range(count)
    ]
    print(digests.count(digests[0]))


main(*sys.argv[1:4], int(sys.argv[4]), sys.argv[5])
