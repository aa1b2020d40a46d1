"""The encoders in Rust answer what Python does, or None: never anything else."""

import json
import random
import struct
import sys
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.core.batch_sequence import BatchSequence, Pieces
from consumer.errors import ExportFailure
from consumer.formats.base import FormatWriter
from consumer.formats.native import Native, NativeEncoders
from consumer.formats.registry import Formats
from schemas.errors import Invalid, Unreadable
from schemas.options import JsonOptions, Options, XlsxOptions, XmlOptions
from schemas.records import Batch, decode_batch
from schemas.requests import Column, ExportRequested
from schemas.vocabulary import ColumnType, Format
from tests.properties.test_csv import formula_like, options
from tests.support.json_texts import CELLS_REFUSED, CELLS_TAKEN
from tests.support.strategies import cells, floats, integers, texts

MOST_BYTES = 1 << 22
FORMATS = Formats()
ROW_FORMATS = [Format.CSV, Format.NDJSON, Format.JSON, Format.XML, Format.XLSX]


def new_writer(request: ExportRequested, *, begun: bool) -> tuple[FormatWriter, list[bytes]]:
    """A writer and what it has written: if it has begun, so much that an XLSX has, too."""
    writer = FORMATS.writer(request, None)
    return writer, [writer.append([[None] * len(request.columns)] * 100)] if begun else []


def by_python(request: ExportRequested, value: bytes, *, begun: bool) -> tuple[Any, ...] | None:
    """The batch and a file that ends with it, or None where an export would fail by it."""
    writer, written = new_writer(request, begun=begun)
    try:
        batch = decode_batch(value)
        written += map(writer.append, pieces(request, batch))
    except (Unreadable, Invalid, ExportFailure):
        return None
    return _shown(batch, writer, written)


def pieces(request: ExportRequested, batch: Batch) -> Pieces:
    columns = request.columns
    sequence = BatchSequence([c.key for c in columns], [c.type for c in columns])
    sequence.next_seq = batch.seq
    sequence.accept(batch)
    return sequence.pieces(batch)


def _shown(batch: Batch, writer: FormatWriter, written: list[bytes]) -> tuple[Any, ...]:
    file = b"".join([*written, *writer.finish()])
    fields = (batch.export_id, batch.seq, batch.last, batch.total_rows, batch.row_count)
    return *fields, file, writer.replaced_characters


def by_native(
    native: Native, request: ExportRequested, value: bytes, *, begun: bool
) -> tuple[Any, ...] | None:
    writer, written = new_writer(request, begun=begun)
    encoder = NativeEncoders(native).encoder(request)
    batch = encoder.encode(value, writer, MOST_BYTES)
    if batch is None:
        return None
    assert batch.encoded
    assert batch.rows == []
    return _shown(batch, writer, [*written, encoder.adopt(writer, batch.encoded)])


def require_equal(
    native: Native, request: ExportRequested, value: bytes, *, begun: bool = False
) -> bool:
    """Whether native took it; if so the answers are the same, to the type."""
    made = by_native(native, request, value, begun=begun)
    if made is not None:
        expected = by_python(request, value, begun=begun)
        assert made == expected
        assert [*map(type, made)] == [*map(type, expected or ())]
    return made is not None


def export_of(file_format: Format, width: int = 2, **given_options: Any) -> ExportRequested:
    return ExportRequested(
        export_id="a",
        format=file_format,
        columns=tuple(Column(key=str(place)) for place in range(width)),
        **given_options,
    )


def csv_of(width: int = 2, **given_options: Any) -> ExportRequested:
    return export_of(Format.CSV, width, **given_options)


# JSON in all its spellings: what a library would never write is valid, too.
spaces = st.sampled_from(["", "", "", " ", "\n", "\t\r\n "])
NUMBERS_SPELLED = """
-0 -0.0 0 0.0 12.50 1.0 -1.10 0.0001 0.00001 1E5 1e-7 0e9 1e16 1e22 123456789012345.0 1e+05
1234567890123456.5 0.1234567890123456 100000000000000000.0 18446744073709551616 5e-324
-9223372036854775809 1e400 -1e-400 9007199254740993 9007199254740993.0 2.2250738585072011e-308
01 1. .5 +1 1e NaN -Infinity 0x1 1_0 -
"""
number_texts = st.sampled_from([*NUMBERS_SPELLED.split(), "9" * 30, "9" * 4301])
ESCAPES = r"""\" \\ \/ \n \u0041 \ud83d\ude00 \u00e9 \u0000 \u003d \ufeff \ud800 \udc00 \x \u12"""
escapes = st.sampled_from([*ESCAPES.split(), "\n", "\x7f", "\u2028"])
string_texts = st.lists(
    escapes | texts.map(lambda text: json.dumps(text, ensure_ascii=False)[1:-1]), max_size=3
).map(lambda parts: '"' + "".join(parts) + '"')
words = st.sampled_from(["null", "true", "false", "nul", "True", "", "[]", "{}", '{"a":1,"a":2}'])
spelled = st.builds(json.dumps, cells, ensure_ascii=st.booleans())
cell_texts = number_texts | string_texts | words | spelled | integers.map(str) | floats.map(repr)
good_cells = (
    cells.map(lambda cell: json.dumps(cell, ensure_ascii=False))
    | formula_like.map(json.dumps)
    | st.sampled_from(["-0", "-0.0", "12.50", "1e5", r'"\u003d1"', "18446744073709551616"])
)


@st.composite
def rows_of(draw: st.DrawFn, keys: tuple[str, ...], cell: st.SearchStrategy[str]) -> str:
    space = draw(spaces)
    if draw(st.booleans()):
        made = draw(st.lists(cell, min_size=len(keys), max_size=len(keys)))
        return f"[{space}" + f"{space},".join(made) + f"{space}]"
    named = [*draw(st.permutations(keys))][: draw(st.integers(len(keys) - 1, len(keys)))]
    members = [f"{json.dumps(key)}{space}:{space}{draw(cell)}" for key in named]
    return "{" + space + ",".join(members) + space + "}"


@st.composite
def records(
    draw: st.DrawFn, keys: tuple[str, ...], cell: st.SearchStrategy[str] = good_cells
) -> bytes:
    space = draw(spaces)
    rows = draw(st.lists(rows_of(keys, cell), min_size=1, max_size=4))
    fields = {
        "export_id": '"a-1"',
        "seq": str(draw(st.integers(0, 10**18 - 1))),
        "rows": f"[{space}" + ",".join(rows) + f"{space}]",
    }
    if draw(st.booleans()):
        fields["last"] = draw(st.sampled_from(["true", "false"]))
    if fields.get("last") == "true" and draw(st.booleans()):
        fields["total_rows"] = "4"
    members = draw(st.permutations([f'"{name}":{space}{text}' for name, text in fields.items()]))
    return ("{" + f"{space},{space}".join(members) + "}" + space).encode()


keys_of = st.lists(st.text(max_size=4) | st.sampled_from(['"', "\\", 'a":1,"b', "é"]), unique=True)


options_of: dict[Format, st.SearchStrategy[Options]] = {
    Format.CSV: options,
    Format.NDJSON: st.just(JsonOptions()),
    Format.JSON: st.just(JsonOptions()),
    Format.XML: st.builds(
        XmlOptions, row=st.sampled_from(["row", "é"]), null=st.sampled_from(["absent", "nil"])
    ),
    Format.XLSX: st.builds(XlsxOptions, header=st.booleans()),
}


@st.composite
def exports(draw: st.DrawFn, file_format: Format, *, column_types: bool = False) -> ExportRequested:
    keys = draw(keys_of.filter(lambda keys: 1 <= len(keys) <= 4))
    types = st.none() | st.sampled_from([*ColumnType]) if column_types else st.none()
    return ExportRequested(
        export_id="a",
        format=file_format,
        columns=tuple(Column(key=key, header=draw(formula_like), type=draw(types)) for key in keys),
        options=draw(options_of[file_format]),
    )


@pytest.mark.parametrize("file_format", ROW_FORMATS)
@given(data=st.data(), begun=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_usual_is_encoded_natively_to_the_same_bytes(
    native: Native, file_format: Format, data: st.DataObject, begun: bool
) -> None:
    request = data.draw(exports(file_format))
    value = data.draw(records(tuple(column.key for column in request.columns)))
    # How wide an XLSX is has to be known first.
    assert require_equal(native, request, value, begun=begun or file_format is Format.XLSX)


@pytest.mark.parametrize("file_format", ROW_FORMATS)
@given(data=st.data(), begun=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cut_into_batches_makes_one_file_by_either_or_both(
    native: Native, file_format: Format, data: st.DataObject, begun: bool
) -> None:
    request = data.draw(exports(file_format))
    keys = tuple(column.key for column in request.columns)
    encoder = NativeEncoders(native).encoder(request)
    (plain, by_plain), (mixed, by_both) = (new_writer(request, begun=begun) for _ in range(2))
    for value in data.draw(st.lists(records(keys), max_size=4)):
        batch = decode_batch(value)
        by_plain += map(plain.append, pieces(request, batch))
        encoded = encoder.encode(value, mixed, MOST_BYTES) if data.draw(st.booleans()) else None
        if encoded and encoded.encoded:
            by_both.append(encoder.adopt(mixed, encoded.encoded))
        else:
            by_both += map(mixed.append, pieces(request, batch))
    assert b"".join([*by_both, *mixed.finish()]) == b"".join([*by_plain, *plain.finish()])
    assert mixed.replaced_characters == plain.replaced_characters


@pytest.mark.parametrize("file_format", ROW_FORMATS)
@given(data=st.data(), begun=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_the_answer_is_pythons_or_none(
    native: Native, file_format: Format, data: st.DataObject, begun: bool
) -> None:
    request_ = data.draw(exports(file_format, column_types=True))
    keys = tuple(column.key for column in request_.columns)
    value = bytearray(data.draw(records(keys, cell_texts)))
    for _ in range(data.draw(st.integers(0, 2))):
        place = data.draw(st.integers(0, len(value) - 1))
        value[place : place + data.draw(st.integers(0, 1))] = data.draw(
            st.sampled_from([b"", b'"', b",", b"[", b"}", b"\\", b"\xff", b"0", b" ", b":"])
        )
    require_equal(native, request_, bytes(value), begun=begun)


NUMBERS = ["1", "-1.5", "+1.5e3", ".5", "1.", "-.5e-3", "e5", "1e", "1 ", "--1", "", "."]
DAYS = ["2026-11-21", "2024-02-29", "2025-02-29", "0000-01-01", "2026-13-01", "2026-1-01", "x"]
TIMES = ["T10:00:00Z", " 23:59:59", "T24:00:00Z", "T10:00:00.123456789+05:30", "T1:00:00", "T"]
TYPED = [*NUMBERS, *DAYS, *(f"{day}{time}" for day in DAYS for time in TIMES), "true", "é"]
TYPED_CELLS = [*map(json.dumps, TYPED), "1", "-0", "1.5", "1e5", "9" * 30, "true", "null", "[]"]


@pytest.mark.parametrize("file_format", [Format.CSV, Format.XLSX])
@pytest.mark.parametrize("column_type", ColumnType)
def test_cells_of_a_typed_column_are_taken_where_python_takes_them(
    native: Native, column_type: ColumnType, file_format: Format
) -> None:
    request = ExportRequested(
        export_id="a",
        format=file_format,
        columns=(Column(key="a", type=column_type), Column(key="b")),
    )
    for cell in TYPED_CELLS:
        value = b'{"export_id":"a","seq":0,"rows":[[%b,1]]}' % cell.encode()
        made = by_native(native, request, value, begun=True)
        assert made == by_python(request, value, begun=True), cell


@pytest.mark.parametrize("shape", [b"[%b,1]", b'{"0":%b,"1":1}', b'{"1":%b}', b'[1,[{"a":%b}]]'])
@pytest.mark.parametrize("file_format", ROW_FORMATS)
def test_every_spelling_of_a_cell_is_pythons_or_refused(
    native: Native, file_format: Format, shape: bytes
) -> None:
    request, begun = export_of(file_format), file_format is Format.XLSX
    for cell in (*CELLS_TAKEN, *CELLS_REFUSED):
        value = b'{"export_id":"a","seq":0,"rows":[' + shape % cell + b"]}"
        taken = require_equal(native, request, value, begun=begun)
        assert taken == (cell in CELLS_TAKEN), cell


RECORDS_REFUSED = [
    b"",
    b"[]",
    b"null",
    b"\xef\xbb\xbf%b",
    b"%b,",
    b"%b{}",
    b'{"seq":0,"rows":[[1,2]]}',
    b'{"export_id":"a","rows":[[1,2]]}',
    b'{"export_id":"a","seq":0}',
    b'{"export_id":"","seq":0,"rows":[[1,2]]}',
    b'{"export_id":".a","seq":0,"rows":[[1,2]]}',
    b'{"export_id":"a/b","seq":0,"rows":[[1,2]]}',
    b'{"export_id":"%b","seq":0,"rows":[[1,2]]}' % (b"a" * 129),
    b'{"export_id":1,"seq":0,"rows":[[1,2]]}',
    b'{"export_id":"a","seq":-1,"rows":[[1,2]]}',
    b'{"export_id":"a","seq":0.0,"rows":[[1,2]]}',
    b'{"export_id":"a","seq":"0","rows":[[1,2]]}',
    b'{"export_id":"a","seq":00,"rows":[[1,2]]}',
    b'{"export_id":"a","seq":0,"seq":1,"rows":[[1,2]]}',
    b'{"export_id":"a","seq":0,"rows":[[1,2]],"rows":[[1,2]]}',
    b'{"export_id":"a","seq":0,"rows":[[1,2]],"total_rows":1}',
    b'{"export_id":"a","seq":0,"rows":[[1,2]],"last":false,"total_rows":1}',
    b'{"export_id":"a","seq":0,"rows":[[1,2]],"last":true,"total_rows":null}',
    b'{"export_id":"a","seq":0,"rows":[[1,2]],"last":null}',
    b'{"export_id":"a","seq":0,"rows":[[1,2]],"more":1}',
    b'{"export_id":"a","seq":0,"rows":{"0":[1,2]}}',
    b'{"export_id":"a","seq":0,"rows":[1,2]}',
    b'{"export_id":"a","seq":0,"rows":[[1]]}',
    b'{"export_id":"a","seq":0,"rows":[[1,2,3]]}',
    b'{"export_id":"a","seq":0,"rows":[[]]}',
    b'{"export_id":"a","seq":0,"rows":[[1,2],]}',
    b'{"export_id":"a","seq":0,"rows":[[1,2]}',
    b'{"export_id":"a","seq":0,"rows":[{"0":1,"2":2}]}',
    b'{"export_id":"a","seq":0,"rows":[{"0":1,"0":2}]}',
    b'{"export_id":"a","seq":0,"rows":[{"0":1,}]}',
    b'{"export_id":"a","seq":0,"rows":[{"0" 1}]}',
    b'{"export_id":"a","seq":0,"rows":[{0:1}]}',
]


@pytest.mark.parametrize("record", RECORDS_REFUSED)
def test_what_is_wrong_or_unusual_in_a_record_is_left_to_python(
    native: Native, record: bytes
) -> None:
    good = b'{"export_id":"a","seq":0,"rows":[[1,2]]}'
    value = record % good if b"%b" in record else record
    assert by_native(native, csv_of(), good, begun=False) is not None
    assert by_native(native, csv_of(), value, begun=False) is None


def test_a_key_that_needs_escapes_is_found_in_every_spelling_and_only_so(native: Native) -> None:
    request = ExportRequested(
        export_id="a",
        format=Format.CSV,
        columns=(Column(key='a":1,"b'), Column(key="\\"), Column(key="é")),
    )
    row = rb'{"a\":1,\"b":1,"\\":2,"\u00e9":3}'
    assert require_equal(native, request, b'{"export_id":"a","seq":0,"rows":[%b]}' % row)
    # Compared as bytes this would be the first key.
    wrong = b'{"a":1,"b":1,"\\\\":2,"\xc3\xa9":3}'
    assert not require_equal(native, request, b'{"export_id":"a","seq":0,"rows":[%b]}' % wrong)


@pytest.mark.parametrize("file_format", [Format.CSV, Format.NDJSON])
def test_doubles_have_pythons_text(native: Native, file_format: Format) -> None:
    chance = random.Random(7)
    request = export_of(file_format)
    bits = [chance.getrandbits(64) for _ in range(20_000)]
    bits += [(exponent << 52) + step for exponent in range(2046) for step in (-1, 0, 1)]
    doubles = [struct.unpack("<d", struct.pack("<Q", n & (1 << 64) - 1))[0] for n in bits]
    finite = [n for n in doubles if n - n == 0]
    finite += [round(chance.uniform(-1e6, 1e6), chance.randrange(9)) for _ in range(20_000)]
    for start in range(0, len(finite), 5_000):
        rows = ",".join(f"[{n!r},{n:.20e}]" for n in finite[start : start + 5_000])
        value = f'{{"export_id":"a","seq":0,"rows":[{rows}]}}'.encode()
        assert require_equal(native, request, value)


def _wide(count: int, width: int) -> bytes:
    return b'{"export_id":"a","seq":0,"rows":[%b]}' % b",".join([b"{}"] * count)


@pytest.mark.parametrize(
    ("width", "rows", "null", "taken"),
    [
        (100, 10_000, "", True),  # as many cells as a batch may have
        (100, 10_001, "", False),
        (256, 60, "x" * 64, True),
        (256, 300, "x" * 64, False),  # more bytes than are made at one go
    ],
)
def test_bounds_are_pythons_business(
    native: Native, width: int, rows: int, null: str, taken: bool
) -> None:
    request = csv_of(width, options={"null": null})
    assert require_equal(native, request, _wide(rows, width), begun=True) == taken


def test_a_large_record_is_left_to_python(native: Native) -> None:
    fits = b'{"export_id":"a","seq":0,"rows":[[1,"%b"]]}'
    long = fits % (b"x" * ((1 << 20) - len(fits) + 2))
    assert len(long) == 1 << 20
    assert require_equal(native, csv_of(), long)
    assert not require_equal(native, csv_of(), long + b" ")


def test_other_threads_run_while_a_record_is_encoded(native: Native) -> None:
    row = b'["%b",1]' % (b"x" * 90)
    value = b'{"export_id":"a","seq":0,"rows":[%b]}' % b",".join([row] * 10_000)
    encoder = NativeEncoders(native).encoder(csv_of())
    interval = sys.getswitchinterval()
    begin, ran = threading.Event(), threading.Event()

    def run() -> None:
        begin.wait()
        ran.set()

    thread = threading.Thread(target=run)
    thread.start()
    sys.setswitchinterval(100)  # the lock is given away only by who waits, or releases it
    try:
        begin.set()
        for _ in range(1_000):
            encoder.encode(value, None, MOST_BYTES)
            if ran.is_set():
                break
        assert ran.is_set()
    finally:
        sys.setswitchinterval(interval)
        thread.join()
