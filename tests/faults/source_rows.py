"""What a source can do to a file, each by name, and what must come of it."""

from __future__ import annotations

import base64
import hashlib
import time
from email.utils import formatdate

from awscrt import checksums

from sluiceway.source.stall import LEAST_BYTES
from tests.faults.checks import (
    asked_for_a_digest,
    asked_once,
    began_anew,
    no_secret_followed,
    nothing_uploaded,
    resumed_at,
    verified,
    vouched_only_by,
    waited,
)
from tests.faults.harness import BIG, EMPTY, FAILED, OTHER, PART, REJECTED, SMALL, STORED, Row
from tests.faults.source import YESTERDAY, File, cut, serve
from tests.faults.steps import (
    answer,
    chunked,
    closed_properly,
    cut_rest,
    endless,
    raw,
    redirect,
    redirect_to_another_name,
    slow_head,
    slows,
    stall,
    trickle,
    with_head,
    wrong_range,
)

NO_TAG = File(BIG.body, None)
WEAK = File(BIG.body, 'W/"v1"')
MIDDLE = PART + 77_777
# Up to there the reads have grown; after it they hold more than comes in half a second, at five times the least rate.
QUICK = len(BIG.body) - 900_000
SLOW = 5 * LEAST_BYTES * 2
ABSURD_DATES = {
    "a year": f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT",
    "a zone": f"Mon, 01 Jan 2024 00:00:00 +{'9' * 20}",
}
HTML = b"<html><body>Sorry, something went wrong.</body></html>"
TOMORROW = formatdate(time.time() + 24 * 60 * 60, usegmt=True)


def sha256(file: File) -> str:
    return hashlib.sha256(file.body).hexdigest()


def b64(algorithm: str, data: bytes) -> str:
    crcs = {"crc32c": (checksums.crc32c, 4), "crc64nvme": (checksums.crc64nvme, 8)}
    if algorithm not in crcs:
        return base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
    crc, width = crcs[algorithm]
    return base64.b64encode(crc(data).to_bytes(width, "big")).decode()


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
    Row("quick, then slow, and no validator", (STORED, None), [slows(NO_TAG, QUICK, SLOW)], BIG, check=asked_once,
        stall_seconds=0.5),
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
    Row("cut at byte 0, and no validator: what it stated was of another file", (STORED, None),
        [cut(NO_TAG, 0, Content_MD5=b64("md5", OTHER.body)), serve(NO_TAG)], BIG, check=began_anew),
    Row("cut, and a weak validator", (STORED, None), [cut(WEAK, MIDDLE), serve(WEAK)], BIG, check=began_anew),
    Row("cut, with a date as validator", (STORED, None),
        [cut(NO_TAG, MIDDLE, Last_Modified=YESTERDAY, Date=formatdate(usegmt=True)),
         serve(NO_TAG, Last_Modified=YESTERDAY)], BIG, check=resumed_at(MIDDLE)),
    *[Row(f"cut, with a date in {what} that cannot be", (STORED, None),
        [cut(NO_TAG, MIDDLE, Last_Modified=date, Date=date), serve(NO_TAG, Last_Modified=date)], BIG, check=began_anew)
      for what, date in ABSURD_DATES.items()],
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
    *[Row(f"length of {len(text)} digits", (FAILED, "SourceProtocolError"), [with_head(
        f"HTTP/1.1 200 OK\nContent-Length: {text}", SMALL.body)], check=asked_once) for text in ("1" * 20, "1" * 5000)],
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

RANGES = [
    Row("206 from another byte", (STORED, None),
        [cut(BIG, MIDDLE), wrong_range(BIG, "bytes {before}-{last}/{total}", shift=-1), serve(BIG)], BIG,
        check=began_anew),
    Row("206 of another total", (STORED, None),
        [cut(BIG, MIDDLE), wrong_range(BIG, "bytes {first}-{last}/9"), serve(BIG)], BIG, check=began_anew),
    Row("206 past the end", (STORED, None),
        [cut(BIG, MIDDLE), wrong_range(BIG, "bytes {first}-{total}/{total}"), serve(BIG)], BIG, check=began_anew),
    Row("206 of absurd bytes", (STORED, None),
        [cut(BIG, MIDDLE), wrong_range(BIG, f"bytes {'9' * 5000}-{{last}}/{{total}}"), serve(BIG)], BIG,
        check=began_anew),
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
    Row("206 in smaller pieces, and the link expires", (FAILED, "SourceStatusError"),
        [cut(BIG, 1_000_000), serve(BIG, chunk=3_000_000), answer(403)], max_requests=3),
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
    Row("503 with Retry-After as a date tomorrow", (STORED, None),
        [answer(503, Retry_After=TOMORROW), serve(SMALL)], SMALL, check=waited(120)),
    Row("503 with a Retry-After that is none", (STORED, None), [answer(503, Retry_After="soon"), serve(SMALL)], SMALL,
        check=waited(0.5)),
    *[Row(f"503 with Retry-After in {what} that cannot be", (STORED, None), [answer(503, Retry_After=date),
        serve(SMALL)], SMALL, check=waited(0.5)) for what, date in ABSURD_DATES.items()],
    Row("429 to the rest", (STORED, None), [cut(BIG, MIDDLE), answer(429, Retry_After="3"), serve(BIG)], BIG,
        check=waited(0.5, 3)),
    Row("an HTML page, size known", (REJECTED, "LengthMismatchError"), [answer(200, body=HTML)],
        task={"size": len(SMALL.body)}),
    Row("an HTML page, digest known", (REJECTED, "DigestMismatchError"), [answer(200, body=HTML)],
        task={"digests": {"sha256": sha256(SMALL)}}),
]  # fmt: skip

REDIRECTS = [
    Row("redirect", (STORED, None), [redirect("/elsewhere"), serve(SMALL)], SMALL),
    Row("redirect to another host", (STORED, None), [redirect_to_another_name, serve(SMALL)], SMALL,
        check=no_secret_followed),
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
    *[Row(f"TLS ends without close_notify or length{name}", (FAILED, "SourceRestartError"),
        [with_head("HTTP/1.1 200 OK", body)], tls="good")
      for name, body in ((", cut", SMALL.body[:-1]), ("", SMALL.body), (", of a large file", BIG.body[:MIDDLE]))],
    Row("TLS ends without close_notify or length, size known", (REJECTED, "LengthMismatchError"),
        [with_head("HTTP/1.1 200 OK", SMALL.body[:-1])], tls="good", task={"size": len(SMALL.body)}),
    Row("TLS ends without close_notify or length, whole, size known", (STORED, None),
        [with_head("HTTP/1.1 200 OK", BIG.body)], BIG, tls="good", task={"size": len(BIG.body)}),
    Row("TLS ends without close_notify or length, whole, digest stated", (STORED, None), [with_head(
        f"HTTP/1.1 200 OK\nContent-MD5: {b64('md5', SMALL.body)}", SMALL.body)], SMALL, tls="good"),
    Row("TLS ends without close_notify or length, nothing sent", (FAILED, "SourceTruncatedError"),
        [with_head("HTTP/1.1 200 OK", b"")], tls="good", max_requests=5),
    Row("TLS ends without close_notify, chunked", (STORED, None), [chunked(BIG.body)], BIG, tls="good"),
    Row("TLS ends properly, without a length", (STORED, None),
        [closed_properly(with_head("HTTP/1.1 200 OK", BIG.body))], BIG, tls="good"),
    Row("TLS ends properly, without a length or a byte", (STORED, None),
        [closed_properly(with_head("HTTP/1.1 200 OK", b""))], EMPTY, tls="good"),
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
        [serve(SMALL, Repr_Digest=f"sha-256=:{b64('sha256', SMALL.body)}:")], SMALL, check=asked_for_a_digest),
    Row("Repr-Digest with parameters disagrees", (REJECTED, "DigestMismatchError"),
        [serve(SMALL, Repr_Digest=f"sha-256=:{b64('sha256', b'other')}:;p=1")]),
    Row("Repr-Digest disagrees", (REJECTED, "DigestMismatchError"),
        [serve(SMALL, Repr_Digest=f"sha-256=:{b64('sha256', b'other')}:")]),
    Row("Repr-Digest disagrees with a large file", (REJECTED, "DigestMismatchError"),
        [serve(BIG, Repr_Digest=f"sha-512=:{b64('sha512', b'other')}:")]),
    Row("Digest disagrees", (REJECTED, "DigestMismatchError"), [serve(SMALL, Digest=f"MD5={WRONG_MD5}")]),
    Row("Content-MD5 disagrees", (REJECTED, "DigestMismatchError"), [serve(SMALL, Content_MD5=WRONG_MD5)]),
    Row("Content-MD5 agrees after a cut", (STORED, None),
        [cut(BIG, MIDDLE, Content_MD5=b64("md5", BIG.body)), serve(BIG)], BIG, check=verified("source:md5")),
    Row("Content-MD5 of a 206 is of the piece", (STORED, None),
        [cut(BIG, MIDDLE), serve(BIG, Content_MD5=WRONG_MD5)], BIG, check=vouched_only_by()),
    Row("x-goog-hash agrees", (STORED, None), [serve(BIG, x_goog_hash=f"crc32c={b64('crc32c', BIG.body)}")], BIG,
        check=verified("source:crc32c")),
    Row("x-goog-hash in two lines", (STORED, None), [with_head(
        f"HTTP/1.1 200 OK\nContent-Length: {len(SMALL.body)}\nx-goog-hash: crc32c={b64('crc32c', SMALL.body)}\n"
        f"x-goog-hash: md5={b64('md5', SMALL.body)}", SMALL.body)], SMALL,
        check=verified("source:crc32c", "source:md5")),
    Row("x-goog-hash disagrees", (REJECTED, "DigestMismatchError"),
        [serve(SMALL, x_goog_hash=f"crc32c=AAAAAA==,md5={b64('md5', SMALL.body)}")]),
    Row("x-goog-hash is of other stored bytes", (STORED, None),
        [serve(SMALL, x_goog_hash=f"md5={WRONG_MD5}", x_goog_stored_content_encoding="gzip")], SMALL),
    Row("x-amz-checksum agrees", (STORED, None),
        [serve(BIG, x_amz_checksum_crc64nvme=b64("crc64nvme", BIG.body), x_amz_checksum_type="FULL_OBJECT")], BIG,
        check=verified("source:crc64nvme")),
    Row("x-amz-checksum disagrees", (REJECTED, "DigestMismatchError"),
        [serve(SMALL, x_amz_checksum_crc64nvme="AAAAAAAAAAA=", x_amz_checksum_type="FULL_OBJECT")]),
    Row("x-amz-checksum is of the parts", (STORED, None),
        [serve(SMALL, x_amz_checksum_crc32="AAAAAA==-3", x_amz_checksum_type="COMPOSITE")], SMALL),
    Row("the source contradicts itself in two lines", (REJECTED, "DigestMismatchError"), [with_head(
        f"HTTP/1.1 200 OK\nContent-Length: {len(SMALL.body)}\nContent-MD5: {WRONG_MD5}\n"
        f"Content-MD5: {b64('md5', SMALL.body)}", SMALL.body)], check=nothing_uploaded),
    Row("the source contradicts itself", (REJECTED, "DigestMismatchError"),
        [serve(SMALL, Content_MD5=WRONG_MD5, Digest=f"MD5={b64('md5', SMALL.body)}")]),
    Row("the caller's digest disagrees", (REJECTED, "DigestMismatchError"), [serve(BIG)],
        task={"digests": {"md5": "0" * 32}}),
    Row("the caller's size disagrees", (REJECTED, "LengthMismatchError"), [serve(BIG)], task={"size": 1},
        check=nothing_uploaded),
]  # fmt: skip

SOURCE_ROWS = [*CUTS, *LENGTHS, *RANGES, *STATUSES, *REDIRECTS, *TLS, *STATED]
