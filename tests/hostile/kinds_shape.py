"""Hostile shapes: requests and batches that are small on the wire and large in what they cost."""

import json
from functools import partial
from typing import Any

from tests.hostile.target import (
    BOUNDED,
    COMPLETED,
    INVALID_REQUEST,
    TYPED,
    Ends,
    Kind,
    Target,
    batch_value,
)
from tests.hostile.wire import Codec, Record, Text

_COLUMNS = [f"c{number}" for number in range(256)]
_LONG = 900_000


def repeated(unit: bytes, times: int) -> Text:
    """A JSON array of so many."""
    return Text(b"[", unit + b",", times - 1, unit + b"]")


async def _null(target: Target) -> None:
    options = {"null": "x" * 300_000}
    await target.export(INVALID_REQUEST, repeated(b"[null]", 1_000), options=options)


async def _nulls(target: Target) -> None:
    """Within every bound but that of the output: 64 characters of four bytes, a million times."""
    options = {"null": "\U0001f600" * 64}
    rows = repeated(b"{}", 1_000_000 // 256)
    await target.export(BOUNDED, rows, columns=_COLUMNS, options=options)


async def _long_fields(target: Target, file_format: str) -> None:
    long = "x" * _LONG
    for fields in (
        {"title": long},
        {"user": long},
        {"columns": [long]},
        {"columns": [{"key": "a", "header": long}]},
        {"options": {long: 1}},
        {"options": {"null": long}},
        {"requested_at": long},
        {long: 1},
    ):
        await target.export(TYPED, b'[["x"]]', format=file_format, **fields)


async def _wide_pages(target: Target) -> None:
    columns = [{"key": key, "header": key + "é" * 1_700} for key in _COLUMNS]
    options = {"records_per_page": 1}
    rows = repeated(b"{}", 1_000)
    await target.export(TYPED, rows, format="pdf", columns=columns, options=options)


async def _many_fields(target: Target) -> None:
    many = dict.fromkeys((f"{n:x}" for n in range(100_000)), 0)
    await target.request(INVALID_REQUEST, **many)
    await target.request(INVALID_REQUEST, options=many)
    await target.request(INVALID_REQUEST, columns=[f"c{n}" for n in range(100_000)])
    await target.request(INVALID_REQUEST, columns=[1] * 400_000)
    await target.request(INVALID_REQUEST, columns=[{"key": "a", "x": 1}] * 50_000)


async def _crowded_requests(target: Target) -> None:
    """A dozen of each in one look: of values without end, and of few that take long."""
    for unit, times in ((b"[],", 330_000), (b'{"":{}},', 120_000), (b"9" * 4_200 + b",", 230)):
        for _ in range(12):
            export_id = target.new_id().encode()
            end = b'0],"type":"export.requested","export_id":"%s"}' % export_id
            await target.requests(
                [Record(Text(b'{"x":[', unit, times, end), export_id)], Codec.ZSTD
            )
            target.wanted[export_id.decode()] = INVALID_REQUEST


async def _nested(target: Target) -> None:
    for depth in (1_000, 10_000, 100_000):
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            middle = opening * depth + b"0" + closing * depth
            ends = COMPLETED | BOUNDED
            await target.export(ends, b"[[" + middle + b"]]")
            await target.export(ends, b"[[" + middle + b"]]", format="pdf")
            # A request that can't be read is a dead letter: nothing else can be tied to its id.
            export_id = target.new_id()
            before = b'{"type":"export.requested","export_id":"%s","format":' % export_id.encode()
            await target.requests([Record(before + middle + b"}", export_id.encode())])


async def _numbers(target: Target) -> None:
    ends = COMPLETED | BOUNDED
    for number in (b"9" * 4_301, b"9" * 100_000, b"-" + b"9" * 900_000, b"1e400", b"NaN", b"-0"):
        for file_format in ("csv", "pdf"):
            await target.export(ends, b"[[%s]]" % number, format=file_format)
    await target.export(ends, repeated(b"[%s]" % (b"9" * 4_301), 220))
    await target.export(ends, repeated(b"[%s]" % (b"9" * 4_000), 4_000), codec=Codec.ZSTD)
    await target.export(ends, repeated(b"[18446744073709551616]", 40_000))
    await target.export(ends, repeated(b"[0.%s]" % (b"1" * 4_000), 200), format="pdf")


async def _seq(target: Target) -> None:
    export_id = await target.request(BOUNDED | {"sequence_gap"})
    value = b'{"export_id":"%s","seq":%s,"rows":[]}' % (export_id.encode(), b"9" * 900_000)
    await target.records([Record(value, export_id.encode())])


async def _rows(
    target: Target,
    row: bytes,
    times: int,
    ends: Ends,
    formats: tuple[str, ...] = ("csv", "pdf"),
    **fields: Any,
) -> None:
    for file_format in formats:
        rows, fields = repeated(row, times), {"format": file_format, **fields}
        await target.export(ends, rows, **fields)


async def _turns(target: Target) -> None:
    """Records of 102 KB whose rows are little text and much to write, one after the other."""
    for columns in (1, 8, 29):
        rows = [repeated(b"{}", 34_000)] * 3
        await target.export(COMPLETED, *rows, format="pdf", columns=_COLUMNS[:columns])


async def _nested_millions(target: Target) -> None:
    cell = Text(b"[[[", b"[],", 300_000, b"[]]]]")
    for file_format in ("csv", "pdf"):
        await target.export(COMPLETED | BOUNDED, cell, format=file_format)
    cell = Text(b"[[[", b"[],", 5_000_000, b"[]]]]")
    await target.export(COMPLETED | BOUNDED, cell, codec=Codec.ZSTD)


async def _objects(target: Target) -> None:
    doubled = Text(b"[{", b'"a":1,', 100_000, b'"a":1}]')
    await target.export(COMPLETED | BOUNDED, doubled)
    unknown = json.dumps([{f"k{n}": 1 for n in range(90_000)}]).encode()
    await target.export(BOUNDED, unknown)
    export_id = await target.request(BOUNDED)
    fields = b",".join(b'"f%d":0' % number for number in range(90_000))
    value = b'{"export_id":"%s","seq":0,"rows":[],%s}' % (export_id.encode(), fields)
    await target.records([Record(value, export_id.encode())])


async def _unlike_rows(target: Target) -> None:
    """Each row wrong in its own way, so that each would be an error of its own."""
    wrong = (b"1", b"null", b'"x"', b"[1,2]", b'{"b":1}', b"[]")
    for row in wrong:
        await target.export(BOUNDED, repeated(row, 100_000))


async def _missing(target: Target) -> None:
    """16 MiB of commas between rows that aren't there; some hundred bytes on the wire."""
    for row in (b",", b"1,,"):
        await target.export(
            BOUNDED, Text(b"[", row, 16_000_000 // len(row), b"1]"), codec=Codec.ZSTD
        )
        target.wanted_letters["unreadable"] += 1


async def _deep(target: Target) -> None:
    """380,000 rows that are nested deeply and shallowly in turn."""
    rows = Text(b"[", b"[[[[1]]]],[1],", 190_000, b"[2]]")
    await target.export(COMPLETED, rows, codec=Codec.ZSTD)


async def _not_an_object(target: Target) -> None:
    """Huge and no object: dead letters, whose reason is the contract's."""
    for value in (repeated(b"0", 400_000), Text(b'"', b"x", _LONG, b'"'), Text(b"", b" ", _LONG)):
        await target.requests([Record(value, b"none")])
        await target.records([Record(value, b"none")])
        target.wanted_letters["unreadable"] += 2
    await target.requests([Record(Text(b'{"type":"', b"x", _LONG, b'"}'), b"none")])
    target.wanted_letters["unknown_type"] += 1
    await target.records([Record(batch_value("x" * _LONG, b"[]"), b"none")])
    target.wanted_letters["invalid_id"] += 1


KINDS = (
    Kind("a null option of 300 KB", _null, short=True),
    Kind("a million nulls of 256 bytes", _nulls),
    Kind("fields of 900 KB, CSV", partial(_long_fields, file_format="csv")),
    Kind("fields of 900 KB, PDF", partial(_long_fields, file_format="pdf")),
    Kind("256 long headers on 1,000 pages", _wide_pages, short=True),
    Kind("100,000 fields, options, columns", _many_fields, short=True),
    Kind("dozens of requests of 1 MiB of brackets, numbers", _crowded_requests),
    Kind("1,000 to 100,000 levels of nesting", _nested),
    Kind("numbers of up to 900,000 digits", _numbers, short=True),
    Kind("a sequence number of 900,000 digits", _seq),
    Kind(
        "330,000 rows {} of 256 columns",
        partial(_rows, row=b"{}", times=330_000, ends=BOUNDED, columns=_COLUMNS),
        short=True,
    ),
    Kind(
        "3,900 rows {} of 256 columns",
        partial(_rows, row=b"{}", times=3_900, ends=COMPLETED, columns=_COLUMNS),
    ),
    Kind("330,000 rows []", partial(_rows, row=b"[]", times=330_000, ends=BOUNDED)),
    Kind("1,000,000 rows [1]", partial(_rows, row=b"[1]", times=1_000_000, ends=TYPED)),
    Kind("records of 102 KB, long turns", _turns, short=True),
    Kind("arrays by the million in a cell", _nested_millions),
    Kind("100,000 keys in an object", _objects),
    Kind("100,000 wrong rows", _unlike_rows),
    Kind("16,000,000 commas without rows", _missing, short=True),
    Kind("380,000 rows, deep and shallow", _deep),
    Kind("900 KB that are no request and no batch", _not_an_object),
)
