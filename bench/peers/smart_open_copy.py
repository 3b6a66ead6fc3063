"""smart_open from http(s) to s3 with its defaults, hashing in between.

Arguments: URL ENDPOINT BUCKET KEY. Prints the hex SHA-256.
"""

import hashlib
import os
import sys

import boto3
import smart_open

BLOCK_BYTES = 1024**2


def main(url: str, endpoint: str, bucket: str, key: str) -> None:
    s3 = boto3.client("s3", endpoint_url=endpoint, verify=os.environ.get("BENCH_CA"))
    sha256 = hashlib.sha256()
    with (
        smart_open.open(url, "rb") as source,
        smart_open.open(f"s3://{bucket}/{key}", "wb", transport_params={"client": s3}) as sink,
    ):
        while block := source.read(BLOCK_BYTES):
            sha256.update(block)
            sink.write(block)
    print(sha256.hexdigest())


main(*sys.argv[1:])
