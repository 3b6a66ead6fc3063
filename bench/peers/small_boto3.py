"""Many small files, one process: urllib3's pool into boto3's upload_fileobj, hashing in between.

Arguments: URL ENDPOINT BUCKET COUNT HOST THREADS. Prints how many files have the SHA-256 of the first.
"""

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
import urllib3


class Hashing:
    """A readable file over `response` that hashes every byte."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._response.read(size if size >= 0 else None)
        self.sha256.update(data)
        return data


def main(url: str, endpoint: str, bucket: str, count: int, threads: int) -> None:
    ca = os.environ.get("BENCH_CA")
    # As many connections as threads, or urllib3 throws some away; boto3 keeps ten by itself.
    source = urllib3.PoolManager(ca_certs=ca, maxsize=threads)
    s3 = boto3.client("s3", endpoint_url=endpoint, verify=ca)

    def copy(n: int) -> str:
        response = source.request("GET", url, preload_content=False)
        body = Hashing(response)
        s3.upload_fileobj(body, bucket, f"small/{n}")
        response.release_conn()
        return body.sha256.hexdigest()

    with ThreadPoolExecutor(threads) as pool:
        digests = list(pool.map(copy, range(count)))
    print(digests.count(digests[0]))


main(*sys.argv[1:4], int(sys.argv[4]), int(sys.argv[6]))
