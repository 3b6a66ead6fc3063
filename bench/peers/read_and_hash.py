"""The floor: reads a body into one buffer and takes its SHA-256. Stores nothing.

Arguments: URL. Prints the hex SHA-256.
"""

import hashlib
import http.client
import os
import ssl
import sys
from urllib.parse import urlsplit

BUFFER_BYTES = 256 * 1024


def main(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=os.environ.get("BENCH_CA"))
        connection = http.client.HTTPSConnection(parts.netloc, context=context)
    else:
        connection = http.client.HTTPConnection(parts.netloc)
    connection.request("GET", parts.path)
    response = connection.getresponse()
    sha256 = hashlib.sha256()
    view = memoryview(bytearray(BUFFER_BYTES))
    while got := response.readinto(view):
        sha256.update(view[:got])
    print(sha256.hexdigest())


main(sys.argv[1])
