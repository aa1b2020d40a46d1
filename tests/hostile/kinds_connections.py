"""Hostile connections: many, slow, and in odd HTTP."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Awaitable, Iterable

from tests.hostile.kinds_http import JSON, NDJSON, json_body, noted
from tests.hostile.raw_http import Connection, connected, exchanged, post
from tests.hostile.target import COMPLETED, Kind, Target
from tests.hostile.wire import Text

_SOME = 2_000
_MOST_REFUSED = 20
_HOLD_SECONDS = 10.0
_ERRORS = frozenset({"400", "404", "408", "413", "414", "415", "429", "431", "503", "closed"})
_ANY = _ERRORS | {"200", "202", "206", "416"}


async def _held(target: Target, start: bytes, more: bytes = b"") -> None:
    """Open many connections to a node, and keep them open, sending ``more`` once a second."""
    async with contextlib.AsyncExitStack() as stack:
        held: list[Connection] = []
        refused = 0
        # Where a crowd has all of them, each attempt takes its five seconds.
        while len(held) + refused < _SOME and refused < _MOST_REFUSED:
            try:
                async with asyncio.timeout(5):
                    connection = await stack.enter_async_context(connected(_url(target)))
            except (OSError, TimeoutError):
                refused += 1
                continue
            await connection.send([start])
            held.append(connection)
        target.answers += Counter({"connected": len(held), "not connected": refused})
        for _ in range(int(_HOLD_SECONDS)):
            await asyncio.sleep(1)
            for connection in held:
                if more and not connection.writer.is_closing():
                    connection.writer.write(more)


async def _half_open(target: Target) -> None:
    await _held(target, b"")


async def _slow_headers(target: Target) -> None:
    await _held(target, b"GET /health HTTP/1.1\r\nHost: h\r\nX-A: ", b"a")


async def _slow_bodies(target: Target) -> None:
    await _held(target, post("/export/run", JSON, 1_000), b" ")


async def _huge_heads(target: Target) -> None:
    line = b"GET /health HTTP/1.1\r\nHost: h\r\n"
    for head in (
        Text(line + b"X: ", b"x", 8_000_000, b"\r\n\r\n"),
        Text(line, b"X: y\r\n", 1_000_000, b"\r\n"),
        Text(b"GET /export/status/", b"x", 8_000_000, b" HTTP/1.1\r\nHost: h\r\n\r\n"),
        Text(b"GET /export/status/", b"x", 60_000, b" HTTP/1.1\r\nHost: h\r\n\r\n"),
        Text(b"", b"\r\n", 4_000_000, b""),
        Text(b"", b"\0", 4_000_000, b""),
        Text(b"", b"GET ", 2_000_000, b""),
    ):
        noted(target, await exchange(target, head.pieces()), _ERRORS)


async def _huge_queries(target: Target) -> None:
    for query in (
        Text(b"format=csv&columns=", b",", 60_000),
        Text(b"format=csv&columns=a", b"&a=b", 15_000),
        Text(b"format=csv&columns=a&option=", b"%25", 20_000),
        Text(b"format=csv&columns=a&title=", b"%CC%81", 10_000),
        Text(b"format=csv&columns=", b"a,", 4_000_000),
    ):
        path = b"POST /export/run?" + query.whole() + b" HTTP/1.1\r\nHost: h\r\n"
        end = b"Content-Type: %s\r\nContent-Length: 4\r\n\r\n[1]\n" % NDJSON.encode()
        noted(target, await exchange(target, [path, end]), _ERRORS | {"202"})


async def _huge_lookups(target: Target) -> None:
    """Lists that ask for what no export has, by thousands of names and by long texts."""
    names = "&".join(f"p{number:x}" for number in range(11_000)).encode()
    for query in (
        names,
        b"q=" + b"%C3%9F" * 10_000,
        b"q=" + b"a" * 60_000,
        b"limit=" + b"9" * 60_000,
    ):
        path = b"GET /export?" + query + b" HTTP/1.1\r\nHost: h\r\n\r\n"
        noted(target, await exchange(target, [path]), _ERRORS)


async def _odd_chunks(target: Target) -> None:
    head = post("/export/run?format=csv&columns=a", NDJSON, None)
    both = post("/export/run", JSON, None, "Content-Length: 3")
    many = Text(b"", b"1\r\n \r\n", 200_000, b"4\r\n[1]\n\r\n0\r\n\r\n")
    for pieces in (
        [head, b"4;" + b"x" * 1_000_000 + b"\r\n[1]\n\r\n0\r\n\r\n"],
        [head, b"0" * 1_000_000 + b"4\r\n[1]\n\r\n0\r\n\r\n"],
        [head, b"-4\r\n[1]\n\r\n0\r\n\r\n"],
        [head, b"ffffffffffffffff\r\n[1]\n"],
        [head, b"7fffffffffffffff\r\n" + b" " * 100_000],
        [head, b"4\r\n[1]\nXX0\r\n\r\n"],
        [head, b"0\r\n" + b"t: x\r\n" * 100_000 + b"\r\n"],
        [both, b"0\r\n\r\n"],
        [head, *many.pieces()],
    ):
        status = await exchange(target, pieces, seconds=20)
        noted(target, status, _ANY | {"no answer"})


async def _pipelined(target: Target) -> None:
    """20,000 requests on one connection, whose answers nobody reads for a while."""
    request = b"GET /export/status/none HTTP/1.1\r\nHost: h\r\n\r\n"
    async with connected(_url(target)) as connection:
        sending = asyncio.create_task(connection.send([request * 20_000]))
        await asyncio.sleep(5)
        noted(target, await connection.status(), _ANY)
        sending.cancel()
        await asyncio.wait([sending])


async def _many_requests(target: Target) -> None:
    """10,000 looks at unknown exports and 1,000 cancels of such, from 20 connections."""
    look = b"GET /export/status/%d HTTP/1.1\r\nHost: h\r\n\r\n"
    cancel = b"DELETE /export/%d HTTP/1.1\r\nHost: h\r\n\r\n"

    async def client(number: int) -> None:
        async with connected(target.nodes[number % 2].node.url) as connection:
            for turn in range(500):
                await connection.send([(look if turn % 10 else cancel) % turn])
                status = await _whole_answer(connection)
                target.answers[status] += 1

    await asyncio.gather(*map(client, range(20)))
    target.should(set(target.answers) <= _ANY, f"answers were {dict(target.answers)}")


async def _taken(target: Target, export_id: str, body: Text) -> bool:
    """POST an export and wait for its end; whether it was taken, as it is if there is no crowd."""
    head = post("/export/run", JSON, len(body))
    status = noted(target, await exchange(target, [head, *body.pieces()]), frozenset({"202"}))
    if status == "202":
        target.wanted[export_id] = COMPLETED
        await target.bed.downstream.ended(export_id, 30)
    return status == "202"


async def _odd_downloads(target: Target) -> None:
    """Conditions and ranges without end, of a finished export."""
    export_id = target.new_id()
    body = json_body(export_id, Text(b"[", b"[1],", 10_000, b"[1]]"))
    if not await _taken(target, export_id, body):
        return
    line = f"GET /export/download/{export_id} HTTP/1.1\r\nHost: h\r\n".encode()
    for header in (
        b"Range: bytes=" + b"0-0," * 15_000,
        b"Range: bytes=" + b"9" * 60_000 + b"-",
        b"If-None-Match: " + b'"x",' * 15_000,
        b"If-Match: " + b'W/"' + b"x" * 60_000 + b'"',
        b"If-Range: " + b"," * 60_000,
    ):
        noted(target, await exchange(target, [line + header + b"\r\n\r\n"]), _ANY | {"412", "304"})


async def _slow_readers(target: Target) -> None:
    """200 downloads of 20 MB whose readers read nothing."""
    export_id = target.new_id()
    body = json_body(export_id, Text(b"[", b'["' + b"x" * 2_000 + b'"],', 10_000, b"[1]]"))
    if not await _taken(target, export_id, body):
        return
    line = f"GET /export/download/{export_id} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(200):
            with contextlib.suppress(OSError):
                connection = await stack.enter_async_context(connected(_url(target)))
                connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await connection.send([line])
        await asyncio.sleep(5)


async def _whole_answer(connection: Connection) -> str:
    status, length = await connection.status(60), 0
    while status not in {"closed", "no answer"}:
        line = (await connection.reader.readline()).lower()
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        if line in {b"\r\n", b""}:
            await connection.reader.readexactly(length)
            break
    return status


async def exchange(target: Target, pieces: Iterable[bytes], seconds: float = 60) -> str:
    exchange: Awaitable[str] = exchanged(_url(target), itertools.chain(pieces))
    try:
        return await asyncio.wait_for(exchange, seconds)
    except TimeoutError:
        return "no answer"


def _url(target: Target) -> str:
    return target.nodes[0].node.url


KINDS = (
    Kind("2,000 connections that send nothing", _half_open, short=True),
    Kind("2,000 connections with slow headers", _slow_headers),
    Kind("2,000 connections with slow bodies", _slow_bodies),
    Kind("heads of 8 MB", _huge_heads, short=True),
    Kind("query strings of 60 KB and 8 MB", _huge_queries),
    Kind("lists by 11,000 names and long texts", _huge_lookups, short=True),
    Kind("chunks in odd forms", _odd_chunks),
    Kind("20,000 pipelined requests", _pipelined),
    Kind("10,000 looks and cancels", _many_requests),
    Kind("conditions and ranges of 60 KB", _odd_downloads),
    Kind("200 downloads that nobody reads", _slow_readers),
)
