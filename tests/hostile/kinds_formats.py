"""What is hostile to one format: characters, names, numbers and dates that it has rules for.

Whatever a format makes larger, as XML does, counts before it is compressed.
"""

import json
from typing import Any

from tests.hostile.kinds_shape import repeated
from tests.hostile.kinds_text import marks, rows_of_text
from tests.hostile.target import BOUNDED, COMPLETED, INVALID_REQUEST, TYPED, Kind, Target
from tests.hostile.wire import Codec, Text

_FORMATS = ("xlsx", "ndjson", "json", "xml")
_TEXT_FORMATS = ("csv", "ndjson", "json", "xml")
_COMPRESSIONS = ("gzip", "zstd")
_NO_XML = "\0\x01\x0b\x1f\ufffe\uffff"
_MIB = 1024 * 1024
_WIDE = [f"c{number}" for number in range(256)]


def _json(rows: Any) -> bytes:
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()


async def _nested_markup(target: Target) -> None:
    """Texts that XML makes five times as large, in arrays and objects, and compressed."""
    for compression in ("none", *_COMPRESSIONS):
        options = {"compression": compression}
        rows = _json([[{"<&>\n" * 20: ["\x01&<" * 20] * 10}]] * 300)
        await target.export(COMPLETED, rows, rows, rows, format="xml", options=options)
        many = Text(b"[", b'[["&<>","&<>"]],', 900_000, b"[1]]")
        await target.export(BOUNDED, many, codec=Codec.ZSTD, format="xml", options=options)


async def _large_xml_cells(target: Target) -> None:
    for options in ({}, *({"compression": one} for one in _COMPRESSIONS)):
        for unit in (b"&", "\U0001f600&&&&&&&&".encode(), b"\\ufffe", b"\\n"):
            cell = Text(b'[["', unit, 15 * _MIB // len(unit), b'"]]')
            await target.export(TYPED, cell, codec=Codec.ZSTD, format="xml", options=options)
            nested = Text(b'[[["', unit, 15 * _MIB // len(unit), b'"]]]')
            await target.export(TYPED, nested, codec=Codec.ZSTD, format="xml", options=options)


async def _no_characters(target: Target) -> None:
    """What XML can't hold, in cells, keys, headers and titles; U+0000 and U+FFFE among it."""
    for file_format in _FORMATS:
        columns = [{"key": f"{_NO_XML}{number}", "header": _NO_XML} for number in range(50)]
        rows = _json([[_NO_XML * 20] * 50] * 100)
        fields: dict[str, Any] = {"format": file_format, "columns": columns, "title": _NO_XML}
        await target.export(TYPED, rows, **fields)
        await target.export(COMPLETED, rows_of_text(_NO_XML * 3_000), format=file_format)


async def _long_names(target: Target) -> None:
    """256 keys of 590 characters that each become seven, twice in each row."""
    columns = [f"{number:03}" + "\x01" * 590 for number in range(256)]
    row = _json([1] * 256)
    await target.export(COMPLETED, b"[" + row + b"]", format="xml", columns=columns)
    await target.export(BOUNDED, repeated(row, 3_000), format="xml", columns=columns)
    await target.export(BOUNDED, repeated(b"[]", 3_000), format="xml", columns=columns)
    for file_format in ("ndjson", "json"):
        await target.export(BOUNDED, repeated(row, 3_000), format=file_format, columns=columns)


async def _names(target: Target) -> None:
    """Names of elements and of sheets that are none, and titles to make one of."""
    long = "x" * 900_000
    for name in ("", "a b", "1", "x:y", "xml", "<", "a\n", "\0", "\U0001d4b3", "a" * 65, long):
        for option in ("root", "row"):
            await target.request(INVALID_REQUEST, format="xml", options={option: name})
    for name in ("a/b", "[", "'a", "a'", "History", " ", "a" * 32, "\U0001f600" * 16, "\0", long):
        await target.request(INVALID_REQUEST, format="xlsx", options={"sheet": name})
        title = name[:1_000]
        await target.export(COMPLETED, b"[[1]]", format="xlsx", title=title)


async def _sheet_cells(target: Target) -> None:
    """Cells about as long as a sheet's may be, in UTF-16, and much longer."""
    for text in (
        "x" * 32_767,
        "\U0001f600" * 16_383,
        "\x01" * 32_767,
        "=" * 32_767,
        "_x0041_" * 4_681,
    ):
        await target.export(COMPLETED, rows_of_text(text), format="xlsx")
    for text in ("x" * 32_768, "\U0001f600" * 16_384, marks(40_000)):
        await target.export(BOUNDED, rows_of_text(text), format="xlsx")
    for unit in (b"x", b"&", b"\\u0001", "\U0001f600".encode()):
        cell = Text(b'[["', unit, 15 * _MIB // len(unit), b'"]]')
        await target.export(BOUNDED, cell, codec=Codec.ZSTD, format="xlsx")
    rows = _json([["&\x01" * 8_000] * 256])
    await target.export(COMPLETED, rows, codec=Codec.ZSTD, format="xlsx", columns=_WIDE)


async def _sheet_rows(target: Target) -> None:
    """A million cells that each cost as much as one may; a million rows, so that a sheet ends."""
    large = b"[" + b",".join([b"4611686018427387911"] * 50) + b"]"
    columns = _WIDE[:50]
    rows = repeated(large, 15_000)
    await target.export(COMPLETED, rows, codec=Codec.ZSTD, format="xlsx", columns=columns)
    short = repeated(b"[1]", 600_000)
    await target.export(COMPLETED, short, short, codec=Codec.ZSTD, format="xlsx")


async def _typed_numbers(target: Target) -> None:
    """Decimals of a million digits, and exponents that no arithmetic should ever see."""
    columns = [{"key": "a", "type": "decimal"}]
    digits = Text(b'[["', b"9", 1_000_000, b'"]]')
    cents = Text(b'[["0.', b"9", 1_000_000, b'"]]')
    power = Text(b'[["1e', b"9", 1_000_000, b'"]]')
    for file_format in (*_TEXT_FORMATS, "pdf"):
        for rows in (digits, cents, power):
            await target.export(COMPLETED, rows, format=file_format, columns=columns)
    for rows in (digits, cents, power):
        await target.export(BOUNDED, rows, format="xlsx", columns=columns)
    short = _json([["1e" + "9" * 300], ["1" * 32_767], ["-." + "0" * 32_000 + "1"], ["1e-400"]])
    await target.export(COMPLETED, short, format="xlsx", columns=columns)
    many = repeated(_json(["1e" + "9" * 300]), 40_000)
    await target.export(COMPLETED, many, codec=Codec.ZSTD, format="xlsx", columns=columns)
    for text in (b"1" * 900_000 + b"x", b"1e" * 450_000, b" " * 900_000):
        await target.export(BOUNDED, b'[["%b"]]' % text, format="xlsx", columns=columns)


async def _typed_dates(target: Target) -> None:
    """The first and the last day there is, in zones that lead past them; and days that are none."""
    for file_format in (*_FORMATS, "csv", "pdf"):
        times = [{"key": "a", "type": "timestamp"}]
        fields: dict[str, Any] = {"format": file_format, "columns": times}
        edges = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999999-23:59"]
        edges += ["1900-02-28T23:59:59Z", "1900-03-01T00:00:00+23:59", "9999-12-31 23:59:59"]
        await target.export(COMPLETED, _json([[one] for one in edges]), **fields)
        wrong = ["2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "2026-01-01T24:00:00Z"]
        wrong += [
            "2026-01-01T00:00:00+24:00",
            "+10000-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z" * 9_000,
        ]
        for one in wrong:
            await target.export(BOUNDED, _json([[one]]), **fields)
        days: dict[str, Any] = {"format": file_format, "columns": [{"key": "a", "type": "date"}]}
        ends = [["0001-01-01"], ["1900-02-28"], ["9999-12-31"]]
        await target.export(COMPLETED, _json(ends), **days)
        await target.export(BOUNDED, _json([["1900-02-29"]]), **days)


async def _compressible(target: Target) -> None:
    """Files that pack to a thousandth: the bound of a batch counts what was before."""
    for compression in _COMPRESSIONS:
        options = {"compression": compression}
        for file_format in _TEXT_FORMATS:
            fields: dict[str, Any] = {"format": file_format, "options": options, "columns": _WIDE}
            rows = repeated(b"{}", 3_900)
            await target.export(TYPED, rows, codec=Codec.ZSTD, **fields)
            cell = Text(b'[["', b"x", 15_000_000, b'"]]')
            await target.export(
                COMPLETED, cell, cell, codec=Codec.ZSTD, format=file_format, options=options
            )
        nulls = {"null": "\U0001f600" * 64, **options}
        await target.export(BOUNDED, repeated(b"{}", 3_900), columns=_WIDE, options=nulls)


async def _marked(target: Target) -> None:
    for file_format in _FORMATS:
        ends = BOUNDED if file_format == "xlsx" else COMPLETED
        await target.export(ends, rows_of_text(marks(200_000)), format=file_format)
        await target.export(TYPED, b"[[1]]", format=file_format, title=marks(500))


KINDS = (
    Kind("nested markup in XML, compressed too", _nested_markup, short=True),
    Kind("XML cells of 15 MiB of markup", _large_xml_cells),
    Kind("characters that XML can't hold", _no_characters),
    Kind("256 element names of 4,000 characters", _long_names),
    Kind("names of elements and sheets", _names),
    Kind("XLSX cells of 32,767 characters and more", _sheet_cells, short=True),
    Kind("XLSX: a million large integers, a full sheet", _sheet_rows),
    Kind("decimals of a million digits", _typed_numbers),
    Kind("dates at the ends of time", _typed_dates),
    Kind("gzip and zstd of what packs to a thousandth", _compressible),
    Kind("marks in XLSX, JSON and XML", _marked),
)
