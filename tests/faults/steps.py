"""What a source does with one request, as steps that a row puts in order: beside those of source.py the odd ones."""

from __future__ import annotations

import time

from tests.faults.source import Exchange, File, Step, serve


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


def closed_properly(step: Step) -> Step:
    """Over TLS: what `step` sends, and then the word that there is no more."""

    def then_goodbye(exchange: Exchange) -> None:
        step(exchange)
        exchange.say_goodbye()

    return then_goodbye


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


def slows(file: File, after: int, bytes_per_second: int) -> Step:
    """As fast as it goes up to `after`, and then at a steady pace."""

    def step(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Length": len(file.body), **file.headers(), "Connection": "close"})
        exchange.raw(file.body[:after])
        began, piece = time.monotonic(), bytes_per_second // 100
        for at in range(after, len(file.body), piece):
            exchange.raw(file.body[at : at + piece])
            due = began + (at + piece - after) / bytes_per_second
            if exchange.stopped.wait(max(0.0, due - time.monotonic())):
                return

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


def part_of_unknown(file: File, chunk: int) -> Step:
    """True 206 of at most `chunk` bytes that do not tell the total, and 416 with it at the very end."""

    def step(exchange: Exchange) -> None:
        first, total = (exchange.range or (0, None))[0], len(file.body)
        if first >= total:
            exchange.reply(416, {"Content-Range": f"bytes */{total}"})
            return
        end = min(total, first + chunk)
        exchange.reply(206, {**file.headers(), "Content-Range": f"bytes {first}-{end - 1}/*"}, file.piece(first, end))

    return step


def rest_of_unknown(file: File, after: int) -> Step:
    """A true 206 of the rest that tells neither the total nor its own length, and ends after `after` bytes."""

    def step(exchange: Exchange) -> None:
        first, last = (exchange.range or (0, None))[0], len(file.body) - 1
        exchange.raw(f"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{last}/*\r\n\r\n".encode())
        exchange.raw(file.piece(first, first + after))
        exchange.end()

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


def redirect_to_another_name(exchange: Exchange) -> None:
    """The same server, by another name: another origin."""
    port = exchange.headers["host"].rpartition(":")[2]
    exchange.reply(302, {"Location": f"http://localhost:{port}/elsewhere"})
