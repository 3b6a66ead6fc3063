"""obstore (Rust): an HTTP store's stream into an S3 store's buffered writer, hashing in between.

Arguments: URL ENDPOINT BUCKET KEY [unsigned]. Prints the hex SHA-256. Unless told `unsigned` it signs what it sends,
over TLS as well, for which it hashes every byte once more: its default.
"""

import hashlib
import sys
from urllib.parse import urlsplit

import obstore
from obstore.store import HTTPStore, S3Store

CHUNK_BYTES = 1024**2
PART_BYTES = 8 * 1024**2
# The certificate is the benchmark's own; encryption costs the same either way.
OPTIONS = {"allow_http": True, "allow_invalid_certificates": True, "timeout": "900s"}


def main(url: str, endpoint: str, bucket: str, key: str, signing: str = "") -> None:
    parts = urlsplit(url)
    source = HTTPStore.from_url(f"{parts.scheme}://{parts.netloc}", client_options=OPTIONS)
    sink = S3Store(
        bucket,
        endpoint=endpoint,
        virtual_hosted_style_request=False,
        unsigned_payload=signing == "unsigned",
        client_options=OPTIONS,
    )
    sha256 = hashlib.sha256()
    with obstore.open_writer(sink, key, buffer_size=PART_BYTES) as writer:
        for chunk in obstore.get(source, parts.path.lstrip("/")).stream(min_chunk_size=CHUNK_BYTES):
            sha256.update(chunk)
            writer.write(chunk)
    print(sha256.hexdigest())


main(*sys.argv[1:])
