"""What must be true of a landing besides its end: how the source was asked, and how long it was waited."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.harness import SECRET, Ran


def no_secret_followed(ran: Ran) -> None:
    assert SECRET in ran.requests[0]["authorization"]
    assert all("authorization" not in request for request in ran.requests[1:])


def waited(*seconds: float) -> Callable[[Ran], None]:
    def check(ran: Ran) -> None:
        assert ran.sleeps == list(seconds)

    return check


def asked_once(ran: Ran) -> None:
    assert len(ran.requests) == 1


def resumed_at(*offsets: int) -> Callable[[Ran], None]:
    """Each reopened request asked for exactly what was missing, under If-Range."""

    def check(ran: Ran) -> None:
        asked = [request.get("range") for request in ran.requests[1:]]
        assert asked == [f"bytes={offset}-" for offset in offsets]
        assert all("if-range" in request for request in ran.requests[1:])

    return check


def went_on(ran: Ran) -> None:
    """However often it was reopened, only for what was missing."""
    assert len(ran.requests) > 1
    assert all("range" in request and "if-range" in request for request in ran.requests[1:])


def began_anew(ran: Ran) -> None:
    assert any("range" not in request for request in ran.requests[1:])
    assert ran.result.source_resumes >= 1


def verified(*names: str) -> Callable[[Ran], None]:
    def check(ran: Ran) -> None:
        assert set(names) <= set(ran.result.verified_by)

    return check


def vouched_only_by(*names: str) -> Callable[[Ran], None]:
    def check(ran: Ran) -> None:
        assert ran.result.verified_by == names

    return check


def asked_for_a_digest(ran: Ran) -> None:
    """The server need not have been told; RFC 9530 has a header by which one is told which digest is of use."""
    assert [request.get("want-repr-digest") for request in ran.requests] == ["sha-256=10"]
    verified("source:sha256")(ran)


def nothing_uploaded(ran: Ran) -> None:
    assert ran.calls == []


def coding_kept(ran: Ran) -> None:
    assert ran.head["ContentEncoding"] == "gzip"
    assert ran.requests[0]["accept-encoding"] == "identity"
