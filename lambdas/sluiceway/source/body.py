"""A response's body, read straight into the caller's memory.

urllib3's own readinto reads into new bytes and copies them from there; that was measured to cost a tenth of the CPU
of a whole transfer over http. Knows the file of http.client that stands beneath a urllib3 response, framing done, and
keeps urllib3's translation of errors and its giving back of the connection.
"""

from __future__ import annotations

from typing import Any

from urllib3.exceptions import IncompleteRead


def read_into(response: Any, view: memoryview) -> int:
    """Fills `view` with the next bytes of the body, as they stand on the wire but without chunked framing; fewer only
    at the end of a body or chunk, 0 when there are no more. Raises what urllib3's read raises."""
    # Both names are private to urllib3, which is pinned; the tests of this file tell when they are gone.
    with response._error_catcher():
        body = response._fp
        got: int = body.readinto(view)
        if not got and len(view) and body.length:
            raise IncompleteRead(partial=0, expected=body.length)
    return got
