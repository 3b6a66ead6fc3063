"""aioboto3's upload_fileobj with its defaults, reading an aiohttp response through a file that hashes.

Arguments: URL ENDPOINT BUCKET KEY. Prints the hex SHA-256.
"""

import asyncio
import hashlib
import os
import ssl
import sys

import aioboto3
import aiohttp


class Hashing:
    """An asynchronously readable file over `content` that hashes every byte."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content
        self.sha256 = hashlib.sha256()

    async def read(self, size: int = -1) -> bytes:
        pieces = []
        while size and (piece := await self._content.read(size)):
            pieces.append(piece)
            size -= len(piece)
        data = b"".join(pieces)
        self.sha256.update(data)
        return data


async def main(url: str, endpoint: str, bucket: str, key: str) -> None:
    ca = os.environ.get("BENCH_CA")
    context = ssl.create_default_context(cafile=ca)
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(ssl=context)) as session,
        aioboto3.Session().client("s3", endpoint_url=endpoint, verify=ca) as s3,
        session.get(url) as response,
    ):
        body = Hashing(response.content)
        await s3.upload_fileobj(body, bucket, key)
    print(body.sha256.hexdigest())


asyncio.run(main(*sys.argv[1:]))
