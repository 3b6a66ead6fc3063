"""What a source's framing can do to a file: heads, codings and chunks, each by name, and what must come of it."""

from __future__ import annotations

import gzip

from tests.faults.checks import asked_once, began_anew, coding_kept, went_on
from tests.faults.harness import BIG, FAILED, OTHER, REJECTED, SMALL, STORED, Row
from tests.faults.source import File, serve
from tests.faults.source_rows import MIDDLE, sha256
from tests.faults.steps import answer, chunked, cut_rest, part_of_unknown, raw, rest_of_unknown, with_head, wrong_range

ZIPPED = File(gzip.compress(SMALL.body, mtime=0))

FRAMING_ROWS = [
    Row("chunked", (STORED, None), [chunked(BIG.body)], BIG),
    Row("chunked, cut in a chunk", (STORED, None), [chunked(BIG.body[:MIDDLE], end=b"fffff\r\nabc"), serve(BIG)], BIG,
        check=went_on),
    Row("chunked, cut, and the rest is told no total", (STORED, None), [chunked(BIG.body[:MIDDLE], end=b""),
        part_of_unknown(BIG, 3_000_000)], BIG, check=went_on),
    Row("chunked, cut, and the rest ends early, its length untold", (STORED, None),
        [chunked(BIG.body[:MIDDLE], end=b""), rest_of_unknown(BIG, 500_000), part_of_unknown(BIG, 9_000_000)], BIG,
        check=went_on),
    Row("chunked, cut, and the total becomes another", (STORED, None), [chunked(BIG.body[:MIDDLE], end=b""),
        cut_rest(BIG, 999_999), wrong_range(BIG, "bytes {first}-{last}/9999999999"), serve(BIG)], BIG,
        check=began_anew),
    Row("chunked, cut, and the total is not what the caller states", (REJECTED, "LengthMismatchError"),
        [chunked(BIG.body[:MIDDLE], end=b""), serve(BIG)], task={"size": len(BIG.body) + 1}),
    Row("chunked, and only the last chunk is missing", (STORED, None), [chunked(SMALL.body, end=b""), serve(SMALL)],
        SMALL, check=went_on),
    Row("chunked, cut, and the source says that it ends elsewhere", (STORED, None), [chunked(SMALL.body, end=b""),
        answer(416, Content_Range=f"bytes */{len(SMALL.body) - 1}"), serve(SMALL)], SMALL, check=began_anew),
    Row("chunked, cut, and the end is that of another version", (STORED, None), [chunked(SMALL.body, end=b""),
        answer(416, Content_Range=f"bytes */{len(SMALL.body)}", ETag='"v2"'), serve(OTHER)], OTHER, check=began_anew),
    Row("chunked, without the last chunk", (FAILED, "SourceRestartError"), [chunked(SMALL.body, end=b""),
        answer(416)] * 9),
    Row("chunked, broken size", (FAILED, "SourceRestartError"), [chunked(SMALL.body, end=b"zz\r\n"), answer(416)] * 9),
    Row("chunked, cut in a size with zeros before it", (STORED, None), [chunked(BIG.body[:MIDDLE], end=b"000"),
        serve(BIG)], BIG),
    *[Row(f"chunked, a size written {size!r}", (FAILED, "SourceTruncatedError"), [with_head(
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked", f"{size}\r\n".encode() + SMALL.body + b"\r\n0\r\n\r\n")],
        max_requests=5)
      for size in ("+186a3", "0x186a3", "1_86a3", " 186a3", "-5", "")],
    Row("chunked, with extensions and trailers", (STORED, None),
        [chunked(SMALL.body, end=b"000 ; a=b;c\r\nX-Sum: 5\r\n\r\n")], SMALL),
    *[Row(f"Transfer-Encoding: {text!r}", (FAILED, "SourceProtocolError"), [with_head(
        f"HTTP/1.1 200 OK\nTransfer-Encoding: {text}", b"5\r\nabcde\r\n0\r\n\r\n")], check=asked_once)
      for text in ("gzip, chunked", "identity\nTransfer-Encoding: chunked", "chunked, chunked", "chunked ", "deflate")],
    Row("Transfer-Encoding: identity", (STORED, None), [with_head(
        f"HTTP/1.1 200 OK\nTransfer-Encoding: identity\nContent-Length: {len(SMALL.body)}", SMALL.body)], SMALL),
    Row("Early Hints", (STORED, None), [with_head(
        "HTTP/1.1 103 Early Hints\nLink: </a.css>; rel=preload\n\nHTTP/1.1 102 Processing\n\nHTTP/1.1 200 OK\n"
        f"Content-Length: {len(SMALL.body)}", SMALL.body)], SMALL),
    Row("Early Hints and no more", (FAILED, "SourceUnreachableError"), [raw(b"HTTP/1.1 103 Early Hints\r\n\r\n")],
        max_requests=5),
    Row("no HTTP at all", (FAILED, "SourceProtocolError"), [raw(b"220 mail.example ESMTP\r\n")], check=asked_once),
    Row("too many headers", (FAILED, "SourceProtocolError"),
        [raw(b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 500 + b"\r\n")], check=asked_once),
    Row("a header line that is none", (FAILED, "SourceProtocolError"),
        [with_head("HTTP/1.1 200 OK\nX-Broken\nContent-Length: 100003", SMALL.body[:-1])], check=asked_once),
    Row("gzip forced", (STORED, None), [serve(ZIPPED, Content_Encoding="gzip")], ZIPPED,
        task={"digests": {"sha256": sha256(ZIPPED)}}, check=coding_kept),
    Row("gzip forced, chunked, cut, and the rest would be plain", (STORED, None), [with_head(
        'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nContent-Encoding: gzip\nETag: "v1"', b"5\r\n" + ZIPPED.body[:5]),
        serve(SMALL)], SMALL, check=began_anew),
    Row("gzip forced, and a coding of S3's own on a second line", (STORED, None), [with_head(
        f"HTTP/1.1 200 OK\nContent-Length: {len(ZIPPED.body)}\nContent-Encoding: gzip\nContent-Encoding: aws-chunked",
        ZIPPED.body)], ZIPPED, check=coding_kept),
]  # fmt: skip
