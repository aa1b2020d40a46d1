"""Hostile values: every field of every message, of each type and at each type's extremes."""

import itertools
import json
from collections.abc import Iterable
from typing import Any

from tests.hostile.target import BOUNDED, COMPLETED, TYPED, Kind, Target
from tests.hostile.wire import Record, Text

FORMATS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("csv", {}),
    ("csv", {"quote": "all", "delimiter": ";", "decimal_separator": ",", "compression": "gzip"}),
    ("pdf", {}),
    ("ndjson", {"compression": "zstd"}),
    ("json", {"compression": "gzip"}),
    ("xml", {"null": "nil"}),
    ("xml", {"compression": "zstd"}),
    ("xlsx", {}),
)
"""Each format, and some of its options."""
TYPES = ("string", "integer", "number", "decimal", "boolean", "date", "timestamp")
_STAMPS_MS = (-1, 0, 1, 1_000, 1_420_070_399_999, 253_402_300_800_000, 2**63 - 1)
_LAST_BATCH = b'{"export_id":"%s","seq":0,"last":true,"rows":[%s]}'
_BATCH_ENDS = TYPED | {"sequence_gap", "row_count_mismatch"}

TEXTS = (
    "",
    "\0",
    "\0" * 64,
    "a\0b",
    "\x1b[2J\x07\r\n",
    "\u202e\u2066\u2069",
    "\u2028\u2029\x85",
    "\ufeff",
    "\ufffe\uffff",
    "\U0010ffff",
    "\U000e0041" * 64,
    "👨\u200d👩\u200d👧\u200d👦",
    "\u1100\u1161\u11a8" * 20,
    "🏴" + "\U000e0067" * 60,
    "e" + "\u0301" * 60,
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "=1+1",
    "]]>&amp;",
    "%s%n{}{0}",
    "'; DROP TABLE",
    "[]:*?/",
    "1" * 5_000,
    "9999-12-31T23:59:59.999999999Z",
    "0000-00-00T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31",
    "1e999999999",
    "-0",
    "NaN",
    "true",
)
NUMBERS = (
    *("0", "-0", "-0.0", "1", "-1", "10", "1.5", "1e3", "1E+2", "5e-324", "1.7976931348623157e308"),
    *("9007199254740993", "18446744073709551616", "-9223372036854775809", "9" * 309, "9" * 4_300),
    *("-" + "9" * 4_299, "0." + "1" * 5_000, "1" * 300 + ".5", "1e-400"),
)
SCALARS = (*(json.dumps(text) for text in TEXTS), *NUMBERS, "null", "true", "false")
NESTED = (
    *("[]", "{}", "[[]]", '[""]', "[null]", '{"":null}', '{"a":1,"a":2}', '{"\\u0000":"\\u0000"}'),
    *("[" * 200 + "]" * 200, '{"a":' * 200 + "1" + "}" * 200, "[1,2,3]", '["a","a"]', '"pdf"'),
)
VALUES = (*SCALARS, *NESTED)
UNREADABLE = ("NaN", "Infinity", "1e400", "-1e400", "9" * 4_301, '"\\ud800"', "01", "1.", "tru", "")
"""What is no JSON, so no field's value."""


def with_field(fields: dict[str, Any], name: str, value: str) -> bytes:
    """An object with a field, whose value is JSON already, in place of the one that it has."""
    others = {key: content for key, content in fields.items() if key != name}
    members = [json.dumps(others, ensure_ascii=False)[1:-1], f"{json.dumps(name)}:{value}"]
    return f"{{{','.join(filter(None, members))}}}".encode()


async def _send(target: Target, requests: Iterable[bytes], export_ids: Iterable[str]) -> None:
    """Requests, and for each a batch that ends its export, if it has become one."""
    ids = list(export_ids)
    records = [Record(value, one.encode()) for value, one in zip(requests, ids, strict=True)]
    await target.requests(records)
    await target.records(Record(_LAST_BATCH % (one, b"{}"), one) for one in map(str.encode, ids))


async def _request_fields(target: Target) -> None:
    names = ("format", "columns", "title", "user", "priority", "requested_at", "options", "bogus")
    requests, ids = [], []
    for name, value, (file_format, options) in itertools.product(names, VALUES, FORMATS[::2]):
        export_id = target.new_id()
        fields = {"type": "export.requested", "export_id": export_id, "format": file_format}
        fields |= {"columns": ["a"], "options": options}
        requests.append(with_field(fields, name, value))
        target.wanted[export_id] = TYPED
        ids.append(export_id)
    await _send(target, requests, ids)


async def _column_fields(target: Target) -> None:
    names = ("key", "header", "width", "type", "align", "bogus")
    requests, ids = [], []
    for name, value, (file_format, options) in itertools.product(names, VALUES, FORMATS[::2]):
        export_id = target.new_id()
        fields = {"type": "export.requested", "export_id": export_id, "format": file_format}
        column = with_field({"key": "a"}, name, value).decode()
        requests.append(with_field({**fields, "options": options}, "columns", f"[{column}]"))
        target.wanted[export_id] = TYPED
        ids.append(export_id)
    await _send(target, requests, ids)


_OPTIONS = {
    "csv": (
        *("delimiter", "header", "bom", "line_ending", "escape_formulas", "null"),
        *("decimal_separator", "quote", "compression"),
    ),
    "pdf": ("page_size", "orientation", "records_per_page"),
    "xml": ("root", "row", "null", "compression"),
    "json": ("compression", "null"),
    "xlsx": ("header", "sheet", "compression"),
}


async def _options(target: Target) -> None:
    requests, ids = [], []
    for file_format, names in _OPTIONS.items():
        for name, value in itertools.product(names, VALUES):
            export_id = target.new_id()
            fields = {"type": "export.requested", "export_id": export_id, "format": file_format}
            options = with_field({}, name, value).decode()
            requests.append(with_field({**fields, "columns": ["a"]}, "options", options))
            target.wanted[export_id] = TYPED
            ids.append(export_id)
    await _send(target, requests, ids)


async def _request_identities(target: Target) -> None:
    """What no export can be tied to."""
    records = []
    for value in VALUES:
        for name in ("type", "export_id"):
            fields = {"type": "export.requested", "export_id": target.new_id(), "format": "csv"}
            records.append(Record(with_field({**fields, "columns": ["a"]}, name, value), b"k"))
        cancel = {"type": "export.cancel_requested", "export_id": target.new_id()}
        records.append(Record(with_field(cancel, "message", value), b"k"))
        records.append(Record(value.encode(), b"k"))
    for value in UNREADABLE:
        fields = {"type": "export.requested", "export_id": target.new_id(), "format": "csv"}
        records.append(Record(with_field(fields, "title", value), b"k"))
    await target.requests(records)


async def _cancel_messages(target: Target) -> None:
    for text in TEXTS[1:]:
        export_id = await target.request(TYPED | {"cancelled"})
        cancel = {"type": "export.cancel_requested", "export_id": export_id, "message": text[:500]}
        await target.requests([Record(json.dumps(cancel).encode(), export_id.encode())])


async def _batch_fields(target: Target) -> None:
    names = ("seq", "rows", "last", "total_rows", "bogus")
    values = [*itertools.product(names, VALUES)]
    ids = [target.new_id() for _ in values]
    await target.requests([target.requested(one, _BATCH_ENDS | {"cancelled"}) for one in ids])
    records = []
    for export_id, (name, value) in zip(ids, values, strict=True):
        batch = {"export_id": export_id, "seq": 0, "rows": [[1]], "last": True}
        records.append(Record(with_field(batch, name, value), export_id.encode()))
    await target.records(records)
    cancel = b'{"type":"export.cancel_requested","export_id":"%s"}'
    seen = target.bed.downstream
    await seen.wait(lambda: sum(one in seen.events for one in ids) > len(ids) * 0.7, 30)
    # Batches without the last one leave their exports open.
    await target.requests(Record(cancel % one, one) for one in map(str.encode, ids))


async def _unreadable_batches(target: Target) -> None:
    for value in UNREADABLE:
        export_id = await target.request(BOUNDED)
        batch = {"export_id": export_id, "seq": 0, "last": True}
        rows = f"[[{value or ','}]]"
        await target.records([Record(with_field(batch, "rows", rows), export_id.encode())])


async def _cells(target: Target) -> None:
    """One cell of each value, in each format, without a type and with each."""
    for (file_format, options), column_type in itertools.product(FORMATS, (None, *TYPES)):
        column = {"key": "a"} | ({"type": column_type} if column_type else {})
        fields = {"format": file_format, "options": options, "columns": [column]}
        requests = [target.requested(target.new_id(), TYPED, **fields) for _ in VALUES]
        await target.requests(requests)
        await target.records(
            Record(_LAST_BATCH % (request.key, b"[%s]" % value.encode()), request.key)
            for request, value in zip(requests, VALUES, strict=True)
        )


async def _slow_json(target: Target) -> None:
    """Rows that the quick encoder refuses: integers beyond 64 bits, and more than 254 levels."""
    deep = b"[" + b"[" * 300 + b"1" + b"]" * 300 + b"]"
    wide = b"[[" + b",".join([b"18446744073709551616"] * 40) + b"]]"
    keys = b'[{"a":' + b'{"a":' * 300 + b"18446744073709551616" + b"}" * 300 + b"}]"
    for file_format, options in FORMATS:
        fields: dict[str, Any] = {"format": file_format, "options": options}
        for row in (deep, wide, keys):
            rows = Text(b"[", row + b",", 1_000_000 // len(row), row + b"]")
            await target.export(TYPED, rows, **fields)
        mixed = Text(b"[", deep + b"," + b"[1],", 1_000, b"[18446744073709551616]]")
        await target.export(TYPED, mixed, **fields)


_RUNS = (
    "👨\u200d👩\u200d👧\u200d👦",
    "\u1100\u1161\u11a8",
    "\u1161",
    "\u11a8\u1100",
    "\u202e\u202d",
    "\u2067\u2069",
    "❤\ufe0f",
    "🏴\U000e0067\U000e007f",
    "\U0001f1e9\U0001f1ea",
    "ก็้",
    "\u0f71\u0f72\u0f74",
    "\u0344",
    "\u1d15e\u1d165",
    "\ufb2c",
    "ﷺ",
    "㍿",
    "\u0e33",
    "\u0cc0\u0cd5",
    "\u3164",
    "\u180e",
    "\x7f",
)


async def _runs(target: Target) -> None:
    """Long runs of what Unicode composes, reorders, joins or hides."""
    for (file_format, options), text in itertools.product(FORMATS, _RUNS):
        rows = json.dumps([[text * (900_000 // len(text.encode()))]], ensure_ascii=False).encode()
        await target.export(TYPED, rows, format=file_format, options=options)
        short = json.dumps([[text * 1_000]] * 60, ensure_ascii=False).encode()
        await target.export(TYPED, short, format=file_format, options=options)
        name = text * (990 // len(text))
        fields: dict[str, Any] = {"title": name, "columns": [{"key": name, "header": name}]}
        await target.export(TYPED, b"[[1]]", format=file_format, options=options, **fields)


async def _timestamps(target: Target) -> None:
    """From none at all to the last one that there is."""
    topics, producer = target.bed.topics, target.bed.producer
    for stamp, (file_format, options) in itertools.product(_STAMPS_MS, FORMATS):
        export_id = target.new_id()
        request = target.requested(export_id, COMPLETED, format=file_format, options=options)
        batch = _LAST_BATCH % (request.key, b"[1]")
        for topic, value in ((topics.requests, request.value), (topics.records, batch)):
            await producer.send_and_wait(
                topic, value, request.key, partition=target.partition, timestamp_ms=stamp
            )


KINDS = (
    Kind("each field of a request, each value", _request_fields, seconds=120, many=True),
    Kind("each field of a column, each value", _column_fields, seconds=120, many=True),
    Kind("each option, each value", _options, seconds=120, many=True),
    Kind("types, ids and texts of requests, each value", _request_identities),
    Kind("each text as a cancellation's message", _cancel_messages),
    Kind("each field of a batch, each value", _batch_fields, many=True),
    Kind("batches with what is no JSON", _unreadable_batches),
    Kind("each value as a cell of each type", _cells, seconds=120, many=True),
    Kind("rows that only the slow JSON takes", _slow_json, seconds=120),
    Kind("long runs of each kind, in each format", _runs, seconds=240, many=True),
    Kind("Kafka timestamps far out", _timestamps),
)
