"""What readers beside the lanes meet: event streams, lists, dead letters, retries, odd requests."""

import asyncio
import contextlib
import json

import httpx

from tests.hostile.kinds_connections import exchange
from tests.hostile.kinds_http import noted
from tests.hostile.kinds_records import cell_of
from tests.hostile.raw_http import connected
from tests.hostile.target import CANCELLED, COMPLETED, Kind, Target, batch_value
from tests.hostile.wire import Codec, Record, Text
from tests.support.clients import http_client

_STREAMS = 1_100
_ANSWERED = frozenset({"400", "404", "405", "408", "415", "417", "431", "501", "closed"})
_TAKEN = _ANSWERED | {"100", "200", "202", "303"}


async def _streams(target: Target) -> None:
    """More than a thousand listen, half of them read nothing, and go on from anywhere."""
    places = (b"0123456789abcdef-7", b"\xff" * 3_000, b"-" * 60_000, b"0" * 16 + b"-" + b"9" * 99)
    async with contextlib.AsyncExitStack() as stack:
        for number in range(_STREAMS):
            connection = await stack.enter_async_context(connected(target.nodes[0].node.url))
            if number % 2:
                connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
            last = b"Last-Event-ID: %b\r\n" % places[number % len(places)]
            head = b"GET /export/events HTTP/1.1\r\nHost: h\r\n" + (last if number % 3 else b"")
            await connection.send([head + b"\r\n"])
            if number % 100 == 0:
                noted(target, await connection.status(), frozenset({"200"}))
        for _ in range(100):
            await target.export(COMPLETED, b"[[1]]", title="\U0001f600" * 1_000)
        await target.settled(60)


async def _letters(target: Target) -> None:
    """Dead letters that are large, have many headers or no text, listed and put back in words."""
    binary = b"\xff" * 900_000
    for record, count in (
        (Record(b"{", binary, [(b"h", binary)]), 50),
        (Record(binary, b"k", [(b"\xff" * 100, None)] * 4_000), 50),
        (Record(b"{", b"k", [(b"", b"")] * 60_000), 10),
    ):
        await target.records([record] * count, Codec.ZSTD)
        target.wanted_letters["unreadable"] += count
    await target.settled(60)
    async with http_client(target.nodes[0].node.url, timeout=60) as client:
        for query in (
            "last=1000",
            "last=1&reason=unreadable",
            "last=" + "9" * 5_000,
            "to=" * 9_000,
        ):
            _note(target, await client.get(f"/dead-letters?{query}"))
        for chosen in ({"all": True}, {"places": ["0:1"] * 100_000}, {"last": 10**30}):
            body = {"dry_run": True, **chosen}
            _note(target, await client.post("/dead-letters/requeue", json=body))


def _note(target: Target, answer: httpx.Response) -> None:
    noted(target, str(answer.status_code), frozenset({"200", "400", "503"}))


async def _retries(target: Target) -> None:
    """Each export three times at once, whose batches lie among what decompresses to gigabytes."""
    ids = [target.new_id() for _ in range(3)]
    for export_id, file_format in zip(ids, ("csv", "pdf", "xml"), strict=True):
        cancel = {"type": "export.cancel_requested", "export_id": export_id}
        request = target.requested(export_id, CANCELLED, format=file_format)
        await target.requests([request, Record(json.dumps(cancel).encode(), request.key)])
    nobody = target.new_id()
    await target.records([Record(batch_value(nobody, cell_of(10**9)), b"k")], Codec.ZSTD)
    many = (Record(batch_value(nobody, cell_of(500_000)), b"k") for _ in range(100))
    await target.records(many, Codec.ZSTD)
    for export_id in ids:
        rows = Text(b'[["', b"x", 15_000_000, b'"]]')
        await target.records([Record(batch_value(export_id, rows), export_id.encode())], Codec.ZSTD)
    await target.settled(60)
    # In a crowd they may not have ended yet.
    expected = frozenset({"202", "503"} | ({"409"} if target.crowded else set()))
    async with http_client(target.nodes[0].node.url, timeout=180) as client:

        async def retry(export_id: str) -> None:
            answer = await client.post(f"/export/{export_id}/retry")
            status = noted(target, str(answer.status_code), expected)
            if status == "202":
                target.wanted[answer.json()["export_id"]] = COMPLETED | {"too_large"}

        await asyncio.gather(*map(retry, ids * 3))


_IDS = (
    *("..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "a%00b", "%ff", "%ed%a0%80", ".sluice.json"),
    *(".parts", "x.manifest", "%0d%0aX:y", "a%5cb", "a" * 60_000, "0" * 129, "a b", "%"),
)
_HOST = b" HTTP/1.1\r\nHost: h\r\n"
_POST = b"POST /export/run" + _HOST + b"Content-Type: application/json\r\n"
_ODD = (
    *(b"CONNECT h:80" + _HOST, b"OPTIONS *" + _HOST, b"GET //[/health" + _HOST, b"GET x" + _HOST),
    *(b"PRI * HTTP/2.0\r\n", b"\x16\x03\x01\x02\x00" + b"x" * 200, b"GET / HTTP/1.1\r\n"),
    *(b"GET /" + _HOST + b"Host: i\r\n", b"GET / HTTP/1.1\r\nHost: [::\r\n"),
    *(b"GET /export/status" + _HOST + b"a:\r\n" * 15_000, b"G" * 60_000 + b" /" + _HOST),
    *(b"GET /export?" + b"%" * 60_000 + _HOST, b"GET /export?q=\xff\xfe" + _HOST),
    b"GET /metrics" + _HOST + b"Accept: " + b"a/b;q=0.1," * 6_000 + b"\r\n",
    *(b"GET /health" + _HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"TRACE /" + _HOST),
    *(_POST + b"Content-Length: %b\r\n" % one for one in (b"+2", b"9" * 5_000, b"2\r\nX: a\0b")),
    _POST + b"Content-Length: 2\r\nContent-Length: 3\r\n",
    _POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
    _POST + b"Transfer-Encoding: gzip, chunked\r\n",
    _POST + b"Content-Length: 2\r\nContent-Encoding: gzip\r\n\r\n{}",
    _POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n",
)
"""Heads without their end, and some with a body."""


async def _odd_requests(target: Target) -> None:
    """No id leads out of the storage, and nothing odd is a 500."""
    for method, place in (("GET", "download"), ("HEAD", "download"), ("GET", "status")):
        for one in _IDS:
            head = f"{method} /export/{place}/{one}".encode() + _HOST + b"\r\n"
            noted(target, await exchange(target, [head]), _ANSWERED)
    for method, path in (("DELETE", ""), ("POST", "/link"), ("POST", "/retry")):
        for one in _IDS:
            head = f"{method} /export/{one}{path}".encode() + _HOST + b"Content-Length: 0\r\n\r\n"
            noted(target, await exchange(target, [head]), _TAKEN)
    for head in _ODD:
        noted(target, await exchange(target, [head + b"\r\n"]), _TAKEN)


async def _group(target: Target) -> None:
    """Kafka tells what the group does; hundreds of clients share what a node reads of it."""
    head = b"GET /group" + _HOST + b"\r\n"

    async def client() -> None:
        for _ in range(20):
            noted(target, await exchange(target, [head]), frozenset({"200", "503"}))

    await asyncio.gather(*(client() for _ in range(200)))


KINDS = (
    Kind("1,100 event streams, half of them unread", _streams),
    Kind("dead letters of binary, listed and put back", _letters, seconds=90),
    Kind("retries among what decompresses to gigabytes", _retries, seconds=180),
    Kind("odd ids, heads and methods", _odd_requests),
    Kind("4,000 questions what the group does", _group),
)
