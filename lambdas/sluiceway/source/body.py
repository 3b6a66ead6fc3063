"""A response's body, read straight into the caller's memory.

urllib3's own readinto reads into new bytes and copies them from there; that was measured to cost a tenth of the CPU
of a whole transfer over http. http.client's makes three calls in Python for each TLS record of 16 KiB; that was a
twentieth of one over https. Knows the file of http.client that stands beneath a urllib3 response, framing done, and
keeps urllib3's translation of errors and its giving back of the connection.
"""

from __future__ import annotations

import ssl
from typing import Any

from urllib3.exceptions import IncompleteRead


def read_into(response: Any, view: memoryview) -> int:
    """Fills `view` with the next bytes of the body, as they stand on the wire but without chunked framing; fewer only
    at the end of a body or chunk, 0 when there are no more. Raises what urllib3's read raises."""
    # These names are private to urllib3 and http.client; urllib3 is pinned, and the tests tell when one is gone.
    with response._error_catcher():
        body, sock = response._fp, getattr(response.connection, "sock", None)
        if body.length and isinstance(sock, ssl.SSLSocket):
            got = _read_records(body, sock, view[: body.length])
        else:
            got = body.readinto(view)
        if not got and len(view) and body.length:
            raise IncompleteRead(partial=0, expected=body.length)
    return got


def _read_records(body: Any, sock: ssl.SSLSocket, view: memoryview) -> int:
    """As http.client's readinto of a body with a length: what was read along with the headers first, then record by
    record from the TLS socket."""
    got: int = body.fp.readinto1(view)
    while 0 < got < len(view):
        more = sock.read(len(view) - got, view[got:])
        if not more:
            break
        got += int(more)
    body.length -= got
    if not body.length:
        body._close_conn()
    return got
