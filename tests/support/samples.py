"""Messages of the input topics, right and wrong, for every test that needs some.

Each wrong one differs from a right one in the fields named beside it.
"""

from collections.abc import Mapping
from typing import Any, Final

from schemas.vocabulary import ColumnType, Compression

LEFT_OUT: Final = object()
"""In ``changed``: the field isn't there."""

REQUEST: Mapping[str, Any] = {
    "type": "export.requested",
    "export_id": "ord-2026-11",
    "format": "csv",
    "columns": ["id", {"key": "amount", "header": "Amount (EUR)", "width": 80}],
    "title": "Orders",
    "user": "alice",
    "priority": 5,
    "requested_at": "2026-11-21T10:00:00Z",
    "options": {},
}
"""The example of the contract."""

BATCH: Mapping[str, Any] = {
    "export_id": "ord-2026-11",
    "seq": 0,
    "rows": [[1, "12.50"], {"id": 2, "amount": "9.99"}],
    "last": False,
}
"""The example of the contract."""


def changed(message: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """A copy of a message with other fields."""
    return {key: value for key, value in {**message, **fields}.items() if value is not LEFT_OUT}


def _columns(count: int) -> list[str]:
    return [f"c{number}" for number in range(count)]


RIGHT_REQUESTS: list[dict[str, Any]] = [
    changed(REQUEST),
    changed(
        REQUEST, **dict.fromkeys(("title", "user", "priority", "requested_at", "options"), LEFT_OUT)
    ),
    changed(REQUEST, title=None, requested_at=None),
    changed(REQUEST, columns=_columns(256)),
    changed(REQUEST, columns=[""]),
    changed(REQUEST, columns=[{"key": "a", "header": ""}, {"key": "b", "width": 0.5}]),
    changed(REQUEST, columns=["a", {"key": "b", "header": "a"}]),
    changed(REQUEST, columns=[{"key": kind, "type": kind} for kind in ColumnType]),
    changed(REQUEST, columns=[{"key": at, "align": at} for at in ("left", "right", "center")]),
    changed(REQUEST, columns=[{"key": "a", "type": None, "align": None}]),
    changed(REQUEST, export_id="7"),
    changed(REQUEST, export_id="A" + "._-z9" * 25 + "xy"),
    changed(REQUEST, priority=0),
    changed(REQUEST, priority=9),
    *(changed(REQUEST, expires_in_seconds=seconds) for seconds in (1, 86_400, 3_153_600_000, None)),
    changed(REQUEST, requested_at="2026-11-21T23:59:59.123456789Z"),
    *(
        changed(REQUEST, options=options)
        for options in (
            {"delimiter": ";"},
            {"delimiter": "\t"},
            {"delimiter": "\N{GRINNING FACE}"},
            {"header": False, "bom": True, "line_ending": "lf"},
            {"null": "=NULL", "escape_formulas": False},
            {"delimiter": ";", "decimal_separator": ",", "quote": "all"},
            *({"compression": compression} for compression in Compression),
        )
    ),
    *(
        changed(REQUEST, format=file_format, options=options)
        for file_format in ("ndjson", "json", "xml")
        for options in (LEFT_OUT, {}, {"compression": "gzip"})
    ),
    changed(REQUEST, format="xml", options={"root": "Orders", "row": "größe", "null": "nil"}),
    changed(REQUEST, format="ndjson", export_id="a.manifest"),
    *(
        changed(REQUEST, format="pdf", options=options)
        for options in (
            LEFT_OUT,
            {},
            {"page_size": "letter", "orientation": "landscape"},
            {"records_per_page": 1},
        )
    ),
]

WRONG_REQUESTS: list[tuple[dict[str, Any], set[str]]] = [
    (changed(REQUEST, **fields), set(wrong.split()))
    for wrong, fields in (
        ("format", {"format": "xls"}),
        ("format", {"format": "CSV"}),
        ("format", {"format": "parquet"}),
        ("format", {"format": None}),
        ("format", {"format": 1, "options": LEFT_OUT}),
        ("format", {"format": LEFT_OUT}),
        ("format", {"format": LEFT_OUT, "options": LEFT_OUT}),
        ("columns", {"columns": LEFT_OUT}),
        ("columns", {"columns": None}),
        ("columns", {"columns": "id"}),
        ("columns", {"columns": {"key": "id"}}),
        ("columns", {"columns": []}),
        ("columns", {"columns": _columns(257)}),
        ("columns.0 columns.1 columns.2", {"columns": [1, None, ["a"]]}),
        ("columns.1.key", {"columns": ["a", {"key": 2}]}),
        ("columns.0.key columns.0.kee", {"columns": [{"kee": "a"}]}),
        ("columns.0.header", {"columns": [{"key": "a", "header": None}]}),
        ("columns.0.width", {"columns": [{"key": "a", "width": 0}]}),
        ("columns.0.width", {"columns": [{"key": "a", "width": -80}]}),
        ("columns.0.width", {"columns": [{"key": "a", "width": True}]}),
        ("columns.0.width", {"columns": [{"key": "a", "width": "80"}]}),
        ("columns.0.width", {"columns": [{"key": "a", "width": 10**400}]}),
        ("columns.0.align", {"columns": [{"key": "a", "align": "justify"}]}),
        ("columns.0.type", {"columns": [{"key": "a", "type": "int"}]}),
        ("columns.0.type", {"columns": [{"key": "a", "type": ["date"]}]}),
        ("columns.0.format", {"columns": [{"key": "a", "format": "0.00"}]}),
        ("title", {"title": 5}),
        ("title", {"title": ["Orders"], "options": LEFT_OUT}),
        ("user", {"user": ""}),
        ("user", {"user": None}),
        ("user", {"user": "a\x00b"}),
        ("user", {"user": "\n"}),
        ("user", {"user": "a\u2028b"}),
        ("user", {"user": 7}),
        ("priority", {"priority": True}),
        ("priority", {"priority": "5"}),
        ("priority", {"priority": 5.5}),
        ("priority", {"priority": -1}),
        ("priority", {"priority": 10}),
        ("priority", {"priority": 10**400}),
        ("priority", {"priority": None}),
        ("expires_in_seconds", {"expires_in_seconds": 0}),
        ("expires_in_seconds", {"expires_in_seconds": 1.5}),
        ("expires_in_seconds", {"expires_in_seconds": "60"}),
        ("expires_in_seconds", {"expires_in_seconds": True}),
        ("expires_in_seconds", {"expires_in_seconds": 3_153_600_001}),
        ("requested_at", {"requested_at": "2026-11-21T10:00:00"}),
        ("requested_at", {"requested_at": "2026-11-21T10:00:00+00:00"}),
        ("requested_at", {"requested_at": "2026-11-21 10:00:00Z"}),
        ("requested_at", {"requested_at": "2026-11-21T10:00:00Z\n"}),
        ("requested_at", {"requested_at": "2026-11-21T24:00:00Z"}),
        ("requested_at", {"requested_at": "٢٠٢٦-11-21T10:00:00Z"}),
        ("requested_at", {"requested_at": 1795255200000}),
        ("options", {"options": None}),
        ("options", {"options": []}),
        ("options.delimiter", {"options": {"delimiter": ";;"}}),
        ("options.delimiter", {"options": {"delimiter": ""}}),
        ("options.delimiter", {"options": {"delimiter": '"'}}),
        ("options.delimiter", {"options": {"delimiter": "\n"}}),
        ("options.header", {"options": {"header": "true"}}),
        ("options.bom", {"options": {"bom": 1}}),
        ("options.line_ending", {"options": {"line_ending": "\n"}}),
        ("options.null", {"options": {"null": None}}),
        ("options.escape_formulas", {"options": {"escape_formulas": 0}}),
        ("options.quote", {"options": {"quote": "'"}}),
        ("options.decimal_separator", {"options": {"decimal_separator": "·"}}),
        ("options.compression", {"options": {"compression": "gz"}}),
        ("options.compression", {"options": {"compression": None}}),
        ("options.compression", {"format": "pdf", "options": {"compression": "gzip"}}),
        ("options.page_size", {"options": {"page_size": "A4"}}),
        ("options.delimiter", {"format": "pdf", "options": {"delimiter": ";"}}),
        ("options.page_size", {"format": "pdf", "options": {"page_size": "a4"}}),
        ("options.null", {"format": "json", "options": {"null": ""}}),
        ("options.root", {"format": "ndjson", "options": {"root": "rows"}}),
        ("options.null", {"format": "xml", "options": {"null": ""}}),
        ("options.header", {"format": "xml", "options": {"header": True}}),
        ("options.row options.root", {"format": "xml", "options": {"row": 1, "root": "a" * 65}}),
        ("options.orientation", {"format": "pdf", "options": {"orientation": "upright"}}),
        ("options.records_per_page", {"format": "pdf", "options": {"records_per_page": 0}}),
        ("options.records_per_page", {"format": "pdf", "options": {"records_per_page": True}}),
        ("page_size", {"page_size": "A4"}),
        ("requestedAt", {"requestedAt": "2026-11-21T10:00:00Z"}),
        (
            "format columns.1.key title user priority requested_at tilte",
            {
                "format": "doc",
                "columns": ["a", {}],
                "title": 1,
                "user": 2,
                "priority": "high",
                "requested_at": "today",
                "tilte": "Orders",
            },
        ),
    )
]

# Right by the letter of JSON Schema, which has no words for what is wrong here.
WRONG_BEYOND_SCHEMA: list[tuple[dict[str, Any], set[str]]] = [
    (changed(REQUEST, columns=["x", "y", {"key": "x"}]), {"columns"}),
    (changed(REQUEST, requested_at="2026-02-30T10:00:00Z"), {"requested_at"}),
    (changed(REQUEST, requested_at="2026-02-28T10:00:60Z"), {"requested_at"}),
    (changed(REQUEST, priority=5.0), {"priority"}),
    (changed(REQUEST, options={"null": "=1"}), {"options.null"}),
    (changed(REQUEST, options={"decimal_separator": ","}), {"options.decimal_separator"}),
    (changed(REQUEST, format="json", export_id="ord-2026-11.Manifest"), {"format"}),
    *(
        (changed(REQUEST, format="xml", options={"row": name}), {"options.row"})
        for name in ("", "a b", "1", "a:b", "xmlRow")
    ),
]

RIGHT_BATCHES: list[dict[str, Any]] = [
    changed(BATCH),
    changed(BATCH, last=LEFT_OUT),
    changed(BATCH, rows=[], last=True),
    changed(BATCH, seq=10**12, last=True, total_rows=0),
    changed(BATCH, rows=[[]]),
    changed(BATCH, rows=[[None, True, 1.5, {"a": [1]}, "é", 10**400]]),
]

WRONG_BATCHES: list[tuple[dict[str, Any], set[str]]] = [
    (changed(BATCH, **fields), set(wrong.split()))
    for wrong, fields in (
        ("seq", {"seq": LEFT_OUT}),
        ("seq", {"seq": -1}),
        ("seq", {"seq": "0"}),
        ("seq", {"seq": True}),
        ("seq", {"seq": None}),
        ("rows", {"rows": LEFT_OUT}),
        ("rows", {"rows": None}),
        ("rows", {"rows": {"0": [1]}}),
        ("rows", {"rows": "[]"}),
        ("last", {"last": 1}),
        ("last", {"last": None}),
        ("last", {"last": "true"}),
        ("total_rows", {"total_rows": 2}),
        ("total_rows", {"total_rows": 2, "last": LEFT_OUT}),
        ("total_rows", {"total_rows": -2, "last": True}),
        ("total_rows", {"total_rows": True, "last": True}),
        ("total_rows", {"total_rows": None, "last": True}),
        ("more", {"more": True}),
        (
            "seq rows last total_rows x y",
            {"seq": 0.5, "rows": 1, "last": 2, "total_rows": "3", "x": 4, "y": 5},
        ),
    )
]
