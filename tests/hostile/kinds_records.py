"""Hostile Kafka records: what grows when it is decompressed, and what isn't in the value."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from tests.hostile.kinds_shape import repeated
from tests.hostile.kinds_text import marks
from tests.hostile.target import (
    BOUNDED,
    COMPLETED,
    INVALID_REQUEST,
    TYPED,
    Headers,
    Kind,
    Target,
    batch_value,
)
from tests.hostile.wire import Codec, Record, Text, make_tiny_batch

_MIB = 1024 * 1024
_MANY_HEADERS: Headers = [(b"h", b"x" * 900)] * 1_000
_LARGE_HEADER: Headers = [(b"h", b"x" * 900_000)]


def cell_of(size_bytes: int) -> Text:
    """Rows that are one cell of text of that size."""
    return Text(b'[["', b"x", size_bytes, b'"]]')


async def _value(target: Target, codec: Codec, size_bytes: int) -> None:
    await target.export(BOUNDED, cell_of(size_bytes), codec=codec)


async def _rows(target: Target, codec: Codec) -> None:
    for row in (b"{}", b"[]", b"[1]"):
        rows = repeated(row, 60_000_000 // (len(row) + 1))
        await target.export(BOUNDED, rows, codec=codec, format="pdf")


async def _many_records(target: Target, codec: Codec) -> None:
    """One Kafka batch of 1,000 legal records of 500 KB: 500 MB that are an export's."""
    export_id = await target.request(TYPED)
    await target.records(_batches(export_id, 1_000, cell_of(500_000)), codec)


def _batches(
    export_id: str, count: int, rows: Text | bytes, headers: Headers = (), key: bytes = b""
) -> Iterator[Record]:
    for seq in range(count):
        value = batch_value(export_id, rows, seq, last=seq == count - 1)
        yield Record(value, key or export_id.encode(), headers)


async def _orphans(target: Target, codec: Codec) -> None:
    """The same, of exports that nobody requested."""
    await target.records(_batches(target.new_id(), 1_000, cell_of(500_000)), codec)
    target.wanted_letters["orphan_batch"] += 1_000


async def _large_records(target: Target) -> None:
    """Uncompressed, of 16 MiB with all that counts, and of 19: within the bound, and beyond it."""
    for _ in range(4):
        export_id = await target.request(COMPLETED)
        value = batch_value(export_id, cell_of(16 * _MIB - 1024))
        await target.records([Record(value, export_id.encode())])
    for _ in range(2):
        await target.export(BOUNDED, cell_of(19 * _MIB))


async def _large_rows(target: Target) -> None:
    """Uncompressed records of 16 MiB that are many small rows."""
    for file_format in ("csv", "pdf"):
        await target.export(TYPED, repeated(b"[1234567890]", 1_200_000), format=file_format)


async def _headers(target: Target, codec: Codec) -> None:
    """500 messages, each in a Kafka batch of its own, with 900 KB of headers; seen all at once."""
    export_id = await target.request(COMPLETED)
    async with target.held_records():
        for record in _batches(export_id, 500, b"[[1]]", _LARGE_HEADER):
            await target.records([record], codec)


async def _many_headers(target: Target) -> None:
    export_id = await target.request(COMPLETED)
    await target.records(_batches(export_id, 200, b"[[1]]", _MANY_HEADERS), Codec.ZSTD)
    export_id = await target.request(COMPLETED)
    headers: Headers = [(b"", b"")] * 400_000
    await target.records(_batches(export_id, 1, b"[[1]]", headers))


async def _header_names(target: Target) -> None:
    """Names that aren't UTF-8, in a batch that is large once it is decompressed."""
    export_id = await target.request(COMPLETED)
    headers: Headers = [(b"\xff" * 300_000, None), (b"\xc3", b"\xff")]
    await target.records(_batches(export_id, 100, b"[[1]]", headers), Codec.ZSTD)


async def _keys(target: Target) -> None:
    export_id = await target.request(COMPLETED)
    key = b"k" * 900_000
    await target.records(_batches(export_id, 50, b"[[1]]", key=key), Codec.ZSTD)
    # A request's key counts, and makes this one too large to be read.
    await target.requests([Record(b"{}", b"\xff" * (14 * _MIB))], Codec.ZSTD)
    target.wanted_letters["unreadable"] += 1
    for reason, value in (("unreadable", b"{"), ("null_value", None)):
        await target.requests([Record(value, key)])
        await target.records([Record(value, key)])
        target.wanted_letters[reason] += 2


async def _large_requests(target: Target) -> None:
    """Requests that are large once they are decompressed, whose key is an id or not."""
    for codec in (Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD):
        await target.requests([Record(Text(b'{"x":"', b"x", 60_000_000, b'"}'), b"../k")], codec)
        await target.requests([Record(Text(b"[", b"[],", 20_000_000, b"0]"), b"../k")], codec)
        target.wanted_letters["unreadable"] += 2
        export_id = target.new_id()
        await target.requests(
            [Record(Text(b'{"x":"', b"x", 60_000_000, b'"}'), export_id.encode())], codec
        )
        target.wanted[export_id] = INVALID_REQUEST


async def _dead_letters(target: Target) -> None:
    """Whatever else the catalogue has, of exports that nobody requested."""
    for rows in (
        repeated(b"{}", 330_000),
        Text(b"[[", b"[],", 300_000, b"0]]"),
        b'[["' + marks(100_000).encode() + b'"]]',
        b'[["x"],' + b"[1]," * 200_000 + b"[1]]",
    ):
        export_id = target.new_id()
        await target.records(_batches(export_id, 1, rows))
        await target.records(_batches(export_id, 1, rows, _LARGE_HEADER), Codec.ZSTD)
        target.wanted_letters["orphan_batch"] += 2
    await target.records(_batches(target.new_id(), 100, b"[[1]]", _LARGE_HEADER), Codec.ZSTD)
    target.wanted_letters["orphan_batch"] += 100
    large = Record(cell_of(900_000), b"k", _LARGE_HEADER)
    await target.records([large] * 50, Codec.ZSTD)
    target.wanted_letters["unreadable"] += 50


async def _random_ab(target: Target) -> None:
    """Values that gzip takes longest over: 1 MB took 2.9 s of the event loop by its level 9."""
    value = bytes(random.Random(1).choices(b"ab", k=1_000_000))
    for _ in range(20):
        await target.records([Record(value, b"k")])
        await target.requests([Record(value, b"k")])
    target.wanted_letters["unreadable"] += 40


async def _tiny_frames(target: Target, codec: Codec, size_bytes: int) -> None:
    """A request in so many bytes of frames, and its rows in as many."""
    export_id = target.new_id()
    request = target.requested(export_id, COMPLETED)
    rows = Record(batch_value(export_id, b"[[1]]"), export_id.encode())
    padding = [(b"", b" " * 900_000)]
    for topic, it in ((target.bed.topics.requests, request), (target.bed.topics.records, rows)):
        record = replace(it, headers=padding)
        batch = await asyncio.to_thread(make_tiny_batch, record, codec, size_bytes)
        await target.send(topic, batch, target.partition)


KINDS = (
    *(
        Kind(
            f"one value of 60 MB, {codec.name.lower()}",
            partial(_value, codec=codec, size_bytes=60_000_000),
            short=codec in {Codec.ZSTD, Codec.GZIP},
        )
        for codec in (Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD)
    ),
    *(
        Kind(
            f"one value of 1 GB, {codec.name.lower()}",
            partial(_value, codec=codec, size_bytes=1_000_000_000),
        )
        for codec in (Codec.GZIP, Codec.LZ4, Codec.ZSTD)
    ),
    # It makes no more than 21 bytes of one, and the topics take 20 MiB.
    Kind(
        "one value of 400 MB, snappy", partial(_value, codec=Codec.SNAPPY, size_bytes=400_000_000)
    ),
    Kind("60 MB of rows in a few KB", partial(_rows, codec=Codec.ZSTD), short=True),
    Kind("1,000 records of 500 KB in one Kafka batch", partial(_many_records, codec=Codec.ZSTD)),
    Kind("1,000 records in one batch, gzip", partial(_many_records, codec=Codec.GZIP)),
    Kind("1,000 records in one batch, of no export", partial(_orphans, codec=Codec.ZSTD)),
    Kind("uncompressed records of 16 and 19 MiB", _large_records, short=True),
    Kind("records of 16 MiB of small rows", _large_rows),
    Kind(
        "500 messages with 900 KB of headers",
        partial(_headers, codec=Codec.ZSTD),
        short=True,
    ),
    Kind("the same 500, uncompressed", partial(_headers, codec=Codec.NONE)),
    Kind("400,000 headers", _many_headers),
    Kind("header names of 300 KB, not UTF-8", _header_names),
    Kind("keys of 900 KB and 14 MiB", _keys),
    Kind("requests of 60 MB in each codec", _large_requests),
    *(
        Kind(
            f"tiny frames, {codec.name.lower()}",
            partial(_tiny_frames, codec=codec, size_bytes=size_bytes),
            short=codec is Codec.GZIP,
        )
        for codec, size_bytes in (
            (Codec.GZIP, 4_000_000),  # over 18 MB of it the broker itself takes some seconds
            (Codec.SNAPPY, 18_000_000),
            (Codec.ZSTD, 18_000_000),
        )
    ),
    Kind("dead letters of all these", _dead_letters),
    Kind("dead letters of 1 MB of random a and b", _random_ab, short=True),
)
