"""The one place where urllib3's, http.client's and the socket's errors become Sluiceway's.

Texts name the redacted URL and what happened, never the foreign text where that could carry a path with its query.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, RemoteDisconnected

from urllib3 import exceptions

from sluiceway.errors import SourceError, SourceProtocolError, SourceTruncatedError, SourceUnreachableError


@contextmanager
def head_errors(shown: str) -> Iterator[None]:
    """Turns foreign errors before the body, of a request to `shown` (a redacted URL), into SourceErrors."""
    try:
        yield
    except exceptions.ProtocolError as error:
        cause = next((each for each in error.args if isinstance(each, HTTPException)), None)
        if cause is None or isinstance(cause, RemoteDisconnected):
            raise SourceUnreachableError(f"{shown}: the connection broke before the reply: {_reason(error)}") from error
        raise SourceProtocolError(f"{shown}: the reply is not proper HTTP: {type(cause).__name__}") from error
    except (exceptions.HTTPError, OSError, ValueError) as error:
        raise translated(error, shown) from error


@contextmanager
def body_errors(shown: str) -> Iterator[None]:
    """Turns foreign errors while the body of `shown` (a redacted URL) is read into SourceErrors."""
    try:
        yield
    except (exceptions.HTTPError, OSError, ValueError) as error:
        raise translated(error, shown) from error


def translated(error: Exception, shown: str) -> SourceError:
    """The SourceError for `error`, raised while a body was read."""
    match error:
        # First, for urllib3 counts a refused connection among those that timed out.
        case exceptions.NewConnectionError():
            return SourceUnreachableError(f"{shown}: {_reason(error)}")
        case exceptions.ConnectTimeoutError():
            return SourceUnreachableError(f"{shown}: connecting timed out")
        case exceptions.SSLError() | exceptions.InsecurePlatformWarning():
            return SourceUnreachableError(f"{shown}: TLS failed: {_reason(error)}")
        case exceptions.ReadTimeoutError() | TimeoutError():
            return SourceUnreachableError(f"{shown}: no bytes arrived within the read timeout")
        case exceptions.EmptyPoolError():
            return SourceUnreachableError(f"{shown}: no connection of the pool came free in time")
        case exceptions.IncompleteRead():
            return SourceTruncatedError(f"{shown}: the body ended early")
        case exceptions.InvalidChunkLength() | exceptions.InvalidHeader():
            return SourceProtocolError(f"{shown}: broken HTTP framing: {type(error).__name__}")
        case exceptions.ProtocolError():
            return SourceTruncatedError(f"{shown}: the connection broke: {_reason(error)}")
        case exceptions.LocationParseError() | exceptions.LocationValueError() | ValueError():
            return SourceProtocolError(f"{shown}: the server or the URL is not proper HTTP: {type(error).__name__}")
        case _:
            return SourceUnreachableError(f"{shown}: {_reason(error)}")


def _reason(error: BaseException) -> str:
    """The innermost system error in words ("Connection refused"), which never holds a URL; else the type's name."""
    seen: set[int] = set()
    current: BaseException | None = error
    found = type(error).__name__
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, OSError) and current.strerror:
            found = current.strerror
        current = current.__cause__ or current.__context__
    return found
