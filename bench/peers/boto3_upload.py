"""boto3's upload_fileobj with its defaults, reading a urllib3 response through a file that hashes what it passes on.

Arguments: URL ENDPOINT BUCKET KEY. Prints the hex SHA-256.
"""

import hashlib
import os
import sys

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


def main(url: str, endpoint: str, bucket: str, key: str) -> None:
    ca = os.environ.get("BENCH_CA")
    pool = urllib3.PoolManager(ca_certs=ca)
    s3 = boto3.client("s3", endpoint_url=endpoint, verify=ca)
    with pool.request("GET", url, preload_content=False) as response:
        body = Hashing(response)
        s3.upload_fileobj(body, bucket, key)
    print(body.sha256.hexdigest())


main(*sys.argv[1:])
