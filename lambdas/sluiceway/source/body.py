"""A response's body, read straight into the caller's memory.

urllib3's own readinto reads into new bytes and copies them from there; that was measured to cost a tenth of the CPU
of a whole transfer over http. http.client's makes three calls in Python for each TLS record of 16 KiB; that was a
twentieth of one over https. Knows the file of http.client that stands beneath a urllib3 response, framing done, and
keeps urllib3's translation of errors and its giving back of the connection.
"""

from __future__ import annotations

import ssl
from typing import Any

from urllib3.exceptions import IncompleteRead, ProtocolError

from sluiceway.tls import TlsSocket, is_cut


def read_into(response: Any, view: memoryview, *, may_just_end: bool = False) -> int:
    """Fills `view` with the next bytes of the body, as they stand on the wire but without chunked framing; fewer only
    at the end of a body or chunk, 0 when there are no more. Raises what urllib3's read raises. `may_just_end`: a body
    without a length is not cut short although TLS did not say that it ends (RFC 9112, 9.8)."""
    # These names are private to urllib3 and http.client; urllib3 is pinned, and the tests tell when one is gone.
    with response._error_catcher():
        body, sock = response._fp, getattr(response, "sock", None)
        if body.length and isinstance(sock, TlsSocket):
            got = _read_records(body, sock, view[: body.length])
        elif _tells_cuts(response) and not body.isclosed():
            got = _read_to_end(body, view, may_just_end)
        else:
            got = body.readinto(view)
        if not got and len(view) and body.length:
            raise IncompleteRead(partial=0, expected=body.length)
    return got


def _read_records(body: Any, sock: TlsSocket, view: memoryview) -> int:
    """As http.client's readinto of a body with a length: what was read along with the headers first, then record by
    record from the TLS socket."""
    got: int = body.fp.readinto1(view)
    if 0 < got < len(view):
        got += sock.fill(view[got:])
    body.length -= got
    if not body.length:
        body._close_conn()
    return got


def tell_cuts(response: Any) -> None:
    """Has the socket beneath `response` (its `sock`) tell an end that TLS did not announce from one that it did, where
    nothing else does. Of other bodies it would be an error for nothing: many servers just hang up."""
    if response.length_remaining is None and not response.chunked and isinstance(response.sock, TlsSocket):
        response.sock.suppress_ragged_eofs = False


def _tells_cuts(response: Any) -> bool:
    return not getattr(getattr(response, "sock", None), "suppress_ragged_eofs", True)


def _read_to_end(body: Any, view: memoryview, may_just_end: bool) -> int:
    """As http.client's readinto of a body that ends with its connection, but record by record: what came before the
    error is not lost with it."""
    got = 0
    try:
        while got < len(view) and (more := body.fp.readinto1(view[got:])):
            got += more
    except ssl.SSLError as error:
        # Where something came before it, the next read will raise it again.
        if not got and not is_cut(error):
            raise
        if not got and not may_just_end:
            raise ProtocolError("the connection ended without a word", error) from error
    if not got:
        body._close_conn()
    return got
