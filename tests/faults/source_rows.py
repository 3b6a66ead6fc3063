"""What a source can do to a file, each by name, and what must come of it."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Callable
from email.utils import formatdate

from tests.faults.harness import (
    BIG,
    EMPTY,
    FAILED,
    OTHER,
    PART,
    REJECTED,
    SECRET,
    SMALL,
    STORED,
    Ran,
    Row,
)
from tests.faults.source import YESTERDAY, Exchange, File, Step, cut, serve

NO_TAG = File(BIG.body, None)
WEAK = File(BIG.body, 'W/"v1"')
MIDDLE = PART + 77_777
HTML = b"<html><body>Sorry, something went wrong.</body></html>"
ZIPPED = File(gzip.compress(SMALL.body, mtime=0))


def sha256(file: File) -> str:
    return hashlib.sha256(file.body).hexdigest()


def b64(algorithm: str, data: bytes) -> str:
    return base64.b64encode(hashlib.new(algorithm, data).digest()).decode()


def answer(status: int, *, body: bytes = b"", **headers: str) -> Step:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda exchange: exchange.reply(status, named, body)


def raw(data: bytes, *, reset: bool = False) -> Step:
    def step(exchange: Exchange) -> None:
        exchange.raw(data)
        if reset:
            exchange.reset()

    return step


def with_head(text: str, body: bytes) -> Step:
    """A head of the test's own making, which ends the connection after the body."""
    return raw(text.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)


def chunked(body: bytes, *, end: bytes = b"0\r\n\r\n", size: int = 70_000, etag: str = '"v1"') -> Step:
    def step(exchange: Exchange) -> None:
        exchange.head(200, {"Transfer-Encoding": "chunked", "ETag": etag})
        for at in range(0, len(body), size):
            piece = body[at : at + size]
            exchange.raw(b"%x\r\n%s\r\n" % (len(piece), piece))
        exchange.raw(end)

    return step


def endless(exchange: Exchange) -> None:
    """Chunks without end."""
    exchange.head(200, {"Transfer-Encoding": "chunked"})
    piece = b"10000\r\n" + bytes(65536) + b"\r\n"
    while not exchange.stopped.is_set():
        exchange.raw(piece)


def stall(file: File, after: int) -> Step:
    def step(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Length": len(file.body), **file.headers()})
        exchange.raw(file.body[:after])
        exchange.hang()

    return step


def trickle(file: File, after: int) -> Step:
    def step(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Length": len(file.body), **file.headers(), "Connection": "close"})
        exchange.raw(file.body[:after])
        exchange.drip(file.body[after:], 0.02)

    return step


def slow_head(exchange: Exchange) -> None:
    exchange.drip(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: y\r\n" * 1000, 0.02)


def cut_rest(file: File, after: int) -> Step:
    """A true 206 that ends after `after` bytes."""

    def step(exchange: Exchange) -> None:
        first, total = (exchange.range or (0, None))[0], len(file.body)
        content = {"Content-Range": f"bytes {first}-{total - 1}/{total}", "Content-Length": total - first}
        exchange.head(206, {**file.headers(), **content})
        exchange.raw(file.body[first : first + after])

    return step


def wrong_range(file: File, content_range: str | None, *, shift: int = 0, **headers: str) -> Step:
    """A 206 that says or sends another piece than the one asked for."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def step(exchange: Exchange) -> None:
        if exchange.range is None:
            serve(file)(exchange)
            return
        first, total = exchange.range[0], len(file.body)
        body = file.body[first + shift :]
        said = {} if content_range is None else {
            "Content-Range": content_range.format(first=first, last=total - 1, total=total, before=first - 1)
        }  # fmt: skip
        exchange.reply(206, {**file.headers(), **said, **named}, body)

    return step


def redirect(location: str, status: int = 302) -> Step:
    return answer(status, Location=location)


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


def began_anew(ran: Ran) -> None:
    assert any("range" not in request for request in ran.requests[1:])
    assert ran.result.source_resumes >= 1


def verified(*names: str) -> Callable[[Ran], None]:
    def check(ran: Ran) -> None:
        assert set(names) <= set(ran.result.verified_by)

    return check


def nothing_uploaded(ran: Ran) -> None:
    assert ran.calls == []


def coding_kept(ran: Ran) -> None:
    assert ran.head["ContentEncoding"] == "gzip"
    assert ran.requests[0]["accept-encoding"] == "identity"


CUTS = [
    Row("cut at byte 0", (STORED, None), [cut(BIG, 0), serve(BIG)], BIG),
    Row("cut in a part", (STORED, None), [cut(BIG, MIDDLE), serve(BIG)], BIG, check=resumed_at(MIDDLE)),
    Row("cut on a part's boundary", (STORED, None), [cut(BIG, PART), serve(BIG)], BIG, check=resumed_at(PART)),
    Row("cut one byte short", (STORED, None), [cut(BIG, len(BIG.body) - 1), serve(BIG)], BIG),
    Row("cut again and again", (STORED, None), [cut(BIG, 9), *[cut_rest(BIG, 999_999)] * 9, serve(BIG)], BIG),
    Row("one byte too many", (STORED, None), [with_head(
        f'HTTP/1.1 200 OK\nContent-Length: {len(SMALL.body)}\nETag: "v1"', SMALL.body + b"!")], SMALL),
    Row("RST in a part", (STORED, None), [cut(BIG, MIDDLE, reset=True), serve(BIG)], BIG),
    Row("RST before the head", (STORED, None), [raw(b"", reset=True), serve(BIG)], BIG),
    Row("FIN before the head", (STORED, None), [raw(b""), serve(BIG)], BIG),
    Row("FIN in the head", (STORED, None), [raw(b"HTTP/1.1 200 OK\r\nContent-Le"), serve(BIG)], BIG),
    Row("stall in a part", (STORED, None), stalls=True, steps=[stall(BIG, MIDDLE), serve(BIG)], lands=BIG),
    Row("stall before the first byte", (STORED, None), stalls=True, steps=[stall(BIG, 0), serve(BIG)], lands=BIG),
    Row("trickle", (STORED, None), stalls=True, steps=[trickle(BIG, MIDDLE), serve(BIG)], lands=BIG),
    Row("slow head", (STORED, None), stalls=True, steps=[slow_head, serve(BIG)], lands=BIG),
    Row("slow head for ever", (FAILED, "SourceUnreachableError"), [slow_head], stalls=True, max_requests=5),
    Row("stall for ever", (FAILED, "SourceUnreachableError"), [stall(BIG, 0)], stalls=True, max_requests=5),
    Row("cut at byte 0 for ever", (FAILED, "SourceTruncatedError"), [cut(BIG, 0)], max_requests=5),
    Row("a byte a connection", (FAILED, "SourceTruncatedError"), [cut(SMALL, 1), serve(SMALL, chunk=1)],
        max_requests=5),
    Row("cut, and no ranges", (STORED, None), [cut(BIG, MIDDLE, Accept_Ranges="none"), serve(BIG)], BIG,
        check=began_anew),
    Row("cut, and ranges are ignored", (STORED, None),
        [cut(BIG, MIDDLE), answer(200, body=BIG.body, ETag='"v1"'), serve(BIG)], BIG, check=began_anew),
    Row("cut, and no validator", (STORED, None), [cut(NO_TAG, MIDDLE), serve(NO_TAG)], BIG, check=began_anew),
    Row("cut, and a weak validator", (STORED, None), [cut(WEAK, MIDDLE), serve(WEAK)], BIG, check=began_anew),
    Row("cut, with a date as validator", (STORED, None),
        [cut(NO_TAG, MIDDLE, Last_Modified=YESTERDAY, Date=formatdate(usegmt=True)),
         serve(NO_TAG, Last_Modified=YESTERDAY)], BIG, check=resumed_at(MIDDLE)),
    Row("cut in a part for ever", (FAILED, "SourceRestartError"), [cut(WEAK, MIDDLE)]),
]  # fmt: skip

LENGTHS = [
    Row("length a byte too large", (FAILED, "SourceRestartError"), [with_head(
        f'HTTP/1.1 200 OK\nContent-Length: {len(SMALL.body) + 1}\nETag: "v1"', SMALL.body), serve(SMALL)] * 9),
    Row("length a byte too small", (REJECTED, "LengthMismatchError"), [with_head(
        f"HTTP/1.1 200 OK\nContent-Length: {len(SMALL.body) - 1}", SMALL.body)], task={"size": len(SMALL.body)}),
    Row("no length", (STORED, None), [with_head("HTTP/1.1 200 OK\nConnection: close", BIG.body)], BIG),
    Row("no length, cut, size known", (REJECTED, "LengthMismatchError"),
        [with_head("HTTP/1.1 200 OK", BIG.body[:MIDDLE])], task={"size": len(BIG.body)}),
    Row("no length, cut, digest known", (REJECTED, "DigestMismatchError"),
        [with_head("HTTP/1.1 200 OK", BIG.body[:MIDDLE])], task={"digests": {"sha256": sha256(BIG)}}),
    Row("HTTP/1.0", (STORED, None), [with_head("HTTP/1.0 200 OK", SMALL.body)], SMALL),
    Row("length said twice", (STORED, None), [with_head(
        f"HTTP/1.1 200 OK\nContent-Length: {len(SMALL.body)}\nContent-Length: {len(SMALL.body)}", SMALL.body)], SMALL),
    Row("two lengths", (FAILED, "SourceProtocolError"),
        [with_head("HTTP/1.1 200 OK\nContent-Length: 100003\nContent-Length: 5", SMALL.body)], check=asked_once),
    Row("length is no number", (FAILED, "SourceProtocolError"),
        [with_head("HTTP/1.1 200 OK\nContent-Length: many", SMALL.body)], check=asked_once),
    Row("negative length", (FAILED, "SourceProtocolError"),
        [with_head("HTTP/1.1 200 OK\nContent-Length: -5", SMALL.body)], check=asked_once),
    Row("empty file", (STORED, None), [serve(EMPTY)], EMPTY),
    Row("empty file, size known", (REJECTED, "LengthMismatchError"), [serve(EMPTY)], task={"size": 5}),
    Row("too large by its length", (REJECTED, "TooLargeError"), [serve(BIG)],
        options={"max_file_bytes": PART}, check=nothing_uploaded),
    Row("too large by count", (REJECTED, "TooLargeError"), [endless], options={"max_file_bytes": 2 * PART + 1}),
]  # fmt: skip

FRAMING = [
    Row("chunked", (STORED, None), [chunked(BIG.body)], BIG),
    Row("chunked, cut in a chunk", (STORED, None), [chunked(BIG.body[:MIDDLE], end=b"fffff\r\nabc"), serve(BIG)], BIG),
    Row("chunked, without the last chunk", (FAILED, "SourceRestartError"), [chunked(SMALL.body, end=b""),
        answer(416)] * 9),
    Row("chunked, broken size", (FAILED, "SourceRestartError"), [chunked(SMALL.body, end=b"zz\r\n"), answer(416)] * 9),
    Row("no HTTP at all", (FAILED, "SourceProtocolError"), [raw(b"220 mail.example ESMTP\r\n")], check=asked_once),
    Row("too many headers", (FAILED, "SourceProtocolError"),
        [raw(b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 500 + b"\r\n")], check=asked_once),
    Row("a header line that is none", (FAILED, "SourceProtocolError"),
        [with_head("HTTP/1.1 200 OK\nX-Broken\nContent-Length: 100003", SMALL.body[:-1])], check=asked_once),
    Row("gzip forced", (STORED, None), [serve(ZIPPED, Content_Encoding="gzip")], ZIPPED,
        task={"digests": {"sha256": sha256(ZIPPED)}}, check=coding_kept),
]  # fmt: skip

RANGES = [
    Row("206 from another byte", (STORED, None),
        [cut(BIG, MIDDLE), wrong_range(BIG, "bytes {before}-{last}/{total}", shift=-1), serve(BIG)], BIG,
        check=began_anew),
    Row("206 of another total", (STORED, None),
        [cut(BIG, MIDDLE), wrong_range(BIG, "bytes {first}-{last}/9"), serve(BIG)], BIG, check=began_anew),
    Row("206 past the end", (STORED, None),
        [cut(BIG, MIDDLE), wrong_range(BIG, "bytes {first}-{total}/{total}"), serve(BIG)], BIG, check=began_anew),
    Row("206 without Content-Range", (STORED, None), [cut(BIG, MIDDLE), wrong_range(BIG, None), serve(BIG)], BIG),
    Row("206 in several pieces", (STORED, None), [cut(BIG, MIDDLE), wrong_range(
        BIG, None, Content_Type="multipart/byteranges; boundary=x"), serve(BIG)], BIG, check=began_anew),
    Row("206 whose length is another", (STORED, None),
        [cut(BIG, MIDDLE), wrong_range(BIG, "bytes {first}-{last}/{total}", shift=1), serve(BIG)], BIG,
        check=began_anew),
    Row("206 of another version", (STORED, None),
        [cut(BIG, MIDDLE), wrong_range(OTHER, "bytes {first}-{last}/{total}"), serve(OTHER)], OTHER, check=began_anew),
    Row("206 lies for ever", (FAILED, "RangesRefusedError"),
        [cut(BIG, MIDDLE), wrong_range(BIG, "bytes 0-1/2")] * 9),
    Row("206 to a plain GET", (FAILED, "SourceStatusError"),
        [answer(206, body=b"x", Content_Range="bytes 0-0/1")], check=asked_once),
    Row("206 in smaller pieces", (STORED, None), [cut(BIG, 1_000_000), serve(BIG, chunk=3_000_000)], BIG),
    Row("416 to the rest", (STORED, None), [cut(BIG, MIDDLE), answer(416), serve(BIG)], BIG, check=began_anew),
    Row("412 to the rest", (STORED, None), [cut(BIG, MIDDLE), answer(412), serve(BIG)], BIG, check=began_anew),
    Row("changed between two tries", (STORED, None), [cut(BIG, MIDDLE), serve(OTHER)], OTHER, check=began_anew),
    Row("changed at byte 0", (STORED, None), [cut(BIG, 0), serve(OTHER)], OTHER, check=began_anew),
    Row("changed, and the caller knew the old one", (REJECTED, "DigestMismatchError"),
        [cut(BIG, MIDDLE), serve(OTHER)], task={"digests": {"sha256": sha256(BIG)}}),
    Row("changed for ever", (FAILED, "SourceRestartError"), [cut(BIG, MIDDLE), cut(OTHER, MIDDLE)] * 9),
    Row("the link expires in the middle", (FAILED, "SourceStatusError"), [cut(BIG, MIDDLE), answer(403)]),
]  # fmt: skip

STATUSES = [
    *[Row(f"status {status}", (FAILED, "SourceStatusError"), [answer(status, body=HTML)], check=asked_once)
      for status in (204, 304, 400, 401, 403, 404, 410, 451)],
    *[Row(f"status {status} once", (STORED, None), [answer(status, body=HTML), serve(SMALL)], SMALL)
      for status in (408, 425, 429, 500, 502, 503, 504, 520)],
    Row("429 storm", (FAILED, "SourceStatusError"), [answer(429)], max_requests=5),
    Row("429 with Retry-After", (STORED, None), [answer(429, Retry_After="7")] * 2 + [serve(SMALL)], SMALL,
        check=waited(7, 7)),
    Row("503 with Retry-After as a date gone by", (STORED, None),
        [answer(503, Retry_After=YESTERDAY), serve(SMALL)], SMALL, check=waited(0)),
    Row("503 with Retry-After of a day", (STORED, None), [answer(503, Retry_After="86400"), serve(SMALL)], SMALL,
        check=waited(120)),
    Row("503 with a Retry-After that is none", (STORED, None), [answer(503, Retry_After="soon"), serve(SMALL)], SMALL,
        check=waited(0.5)),
    Row("429 to the rest", (STORED, None), [cut(BIG, MIDDLE), answer(429, Retry_After="3"), serve(BIG)], BIG,
        check=waited(0.5, 3)),
    Row("an HTML page, size known", (REJECTED, "LengthMismatchError"), [answer(200, body=HTML)],
        task={"size": len(SMALL.body)}),
    Row("an HTML page, digest known", (REJECTED, "DigestMismatchError"), [answer(200, body=HTML)],
        task={"digests": {"sha256": sha256(SMALL)}}),
]  # fmt: skip

REDIRECTS = [
    Row("redirect", (STORED, None), [redirect("/elsewhere"), serve(SMALL)], SMALL),
    Row("redirect loop", (FAILED, "SourceProtocolError"), [redirect("/file.bin")], max_requests=6),
    Row("redirect without a target", (FAILED, "SourceProtocolError"), [answer(302)], check=asked_once),
    Row("redirect to loopback", (REJECTED, "PolicyError"), [redirect("https://127.0.0.1:1/")], check=asked_once),
    Row("redirect to a private address", (REJECTED, "PolicyError"), [redirect("https://10.0.0.1/")], check=asked_once),
    Row("redirect to the metadata service", (REJECTED, "PolicyError"),
        [redirect("https://169.254.169.254/latest/meta-data/")], check=asked_once),
    Row("redirect to a file", (REJECTED, "PolicyError"), [redirect("file:///etc/passwd")], check=asked_once),
    Row("redirect with user-info", (REJECTED, "PolicyError"), [redirect("https://a:b@example.com/")], check=asked_once),
    Row("redirect down to http", (REJECTED, "PolicyError"), [redirect("http://127.0.0.1:1/")], tls="good",
        check=asked_once),
    Row("source is loopback", (REJECTED, "PolicyError"), [serve(SMALL)], allowed=False, tls="good", max_requests=0),
    Row("source is plain http", (REJECTED, "PolicyError"), [serve(SMALL)], allowed=False, max_requests=0),
]  # fmt: skip

TLS = [
    Row("TLS", (STORED, None), [serve(BIG)], BIG, tls="good"),
    Row("TLS ends without close_notify", (STORED, None), [cut(BIG, MIDDLE), serve(BIG)], BIG, tls="good"),
    Row("TLS ends without close_notify or length, size known", (REJECTED, "LengthMismatchError"),
        [with_head("HTTP/1.1 200 OK", SMALL.body[:-1])], tls="good", task={"size": len(SMALL.body)}),
    Row("TLS reset", (STORED, None), [cut(BIG, MIDDLE, reset=True), serve(BIG)], BIG, tls="good"),
    Row("TLS trickle", (STORED, None), [trickle(BIG, MIDDLE), serve(BIG)], BIG, tls="good", stalls=True),
    Row("expired certificate", (FAILED, "SourceUnreachableError"), tls="expired", max_requests=0),
    Row("certificate of another host", (FAILED, "SourceUnreachableError"), tls="other_host", max_requests=0),
    Row("certificate of a stranger", (FAILED, "SourceUnreachableError"), tls="untrusted", max_requests=0),
    Row("TLS handshake hangs", (FAILED, "SourceUnreachableError"), tls="good", hang_at_accept=True, stalls=True,
        max_requests=0),
]  # fmt: skip

WRONG_MD5 = b64("md5", b"other")
STATED = [
    Row("Repr-Digest agrees", (STORED, None),
        [serve(SMALL, Repr_Digest=f"sha-256=:{b64('sha256', SMALL.body)}:")], SMALL, check=verified("source:sha256")),
    Row("Repr-Digest disagrees", (REJECTED, "DigestMismatchError"),
        [serve(SMALL, Repr_Digest=f"sha-256=:{b64('sha256', b'other')}:")]),
    Row("Repr-Digest disagrees with a large file", (REJECTED, "DigestMismatchError"),
        [serve(BIG, Repr_Digest=f"sha-512=:{b64('sha512', b'other')}:")]),
    Row("Digest disagrees", (REJECTED, "DigestMismatchError"), [serve(SMALL, Digest=f"MD5={WRONG_MD5}")]),
    Row("Content-MD5 disagrees", (REJECTED, "DigestMismatchError"), [serve(SMALL, Content_MD5=WRONG_MD5)]),
    Row("Content-MD5 agrees after a cut", (STORED, None),
        [cut(BIG, MIDDLE, Content_MD5=b64("md5", BIG.body)), serve(BIG)], BIG, check=verified("source:md5")),
    Row("x-goog-hash disagrees", (REJECTED, "DigestMismatchError"),
        [serve(SMALL, x_goog_hash=f"crc32c=AAAAAA==,md5={b64('md5', SMALL.body)}")]),
    Row("x-goog-hash is of other stored bytes", (STORED, None),
        [serve(SMALL, x_goog_hash=f"md5={WRONG_MD5}", x_goog_stored_content_encoding="gzip")], SMALL),
    Row("x-amz-checksum disagrees", (REJECTED, "DigestMismatchError"),
        [serve(SMALL, x_amz_checksum_crc64nvme="AAAAAAAAAAA=", x_amz_checksum_type="FULL_OBJECT")]),
    Row("x-amz-checksum is of the parts", (STORED, None),
        [serve(SMALL, x_amz_checksum_crc32="AAAAAA==-3", x_amz_checksum_type="COMPOSITE")], SMALL),
    Row("the source contradicts itself", (REJECTED, "DigestMismatchError"),
        [serve(SMALL, Content_MD5=WRONG_MD5, Digest=f"MD5={b64('md5', SMALL.body)}")]),
    Row("the caller's digest disagrees", (REJECTED, "DigestMismatchError"), [serve(BIG)],
        task={"digests": {"md5": "0" * 32}}),
    Row("the caller's size disagrees", (REJECTED, "LengthMismatchError"), [serve(BIG)], task={"size": 1},
        check=nothing_uploaded),
]  # fmt: skip

SOURCE_ROWS = [*CUTS, *LENGTHS, *FRAMING, *RANGES, *STATUSES, *REDIRECTS, *TLS, *STATED]
