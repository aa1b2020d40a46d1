"""XML, judged by lxml with a schema made from the request, and by Expat."""

import re
import tracemalloc
import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

import consumer.formats.xml
from consumer.errors import ExportFailure
from consumer.formats.cells import cell_text
from consumer.formats.xml import XmlWriter
from schemas.limits import MOST_BATCH_OUTPUT_BYTES
from schemas.records import Cell
from schemas.requests import ExportRequested
from schemas.vocabulary import ColumnType, FailReason
from schemas.xml_names import element_name, is_element_name
from tests.support.strategies import cells, texts
from tests.support.xsd import schema_of

XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
any_texts = st.text(max_size=8) | st.text("ab&<>]\r\n\t\0\x0b\ufffe\ufeff\x85\u2028", max_size=8)
tables = st.lists(texts, min_size=1, max_size=4, unique=True).flatmap(
    lambda keys: st.tuples(
        st.just(keys),
        st.lists(
            st.lists(st.none() | any_texts | cells, min_size=len(keys), max_size=len(keys)),
            max_size=6,
        ),
    )
)


def request(columns: list[Any], **options: str) -> ExportRequested:
    columns = [{"key": one} if isinstance(one, str) else one for one in columns]
    fields = {"export_id": "a", "format": "xml", "columns": columns, "options": options}
    return ExportRequested.model_validate(fields)


def written(wanted: ExportRequested, *appended: list[list[Cell]]) -> bytes:
    writer = XmlWriter(wanted)
    pieces = [writer.append(rows) for rows in appended]
    return b"".join([*pieces, *writer.finish()])


def read(wanted: ExportRequested, content: bytes) -> list[list[str | None]]:
    """The cells of each row, by a parser that isn't ours; null where there is no element."""
    parsed = etree.fromstring(content)
    schema_of(wanted).assertValid(parsed)
    names = [element_name(column.key) for column in wanted.columns]
    rows = [{cell.tag: cell for cell in row} for row in parsed]
    assert all(len(row) == len(element) for row, element in zip(rows, parsed, strict=True))
    return [[_text(row.get(name)) for name in names] for row in rows]


def _text(element: Any) -> str | None:
    if element is None or element.get(XSI_NIL) == "true":
        return None
    return element.text or ""


def expat(text: str | bytes) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - we wrote it


def test_a_small_file() -> None:
    rows: list[list[Cell]] = [[1, "a"], [2.5, None], [True, "<b>&\n]]>\r\t"], [None, {"x": ["&"]}]]
    assert written(request(["id", "note"]), rows).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<rows>\n"
        "<row><id>1</id><note>a</note></row>\n"
        "<row><id>2.5</id></row>\n"
        "<row><id>true</id><note>&lt;b&gt;&amp;&#10;]]&gt;&#13;\t</note></row>\n"
        '<row><note>{"x":["&amp;"]}</note></row>\n'
        "</rows>\n"
    )


def test_the_options_change_what_they_say() -> None:
    wanted = request(["a b", "c"], root="orders", row="order", null="nil")
    assert written(wanted, [[None, ""]]).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<orders xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
        '<order><a_x0020_b xsi:nil="true"/><c></c></order>\n'
        "</orders>\n"
    )


@pytest.mark.parametrize("appended", [[], [[]]])
def test_a_file_without_rows(appended: list[list[list[Cell]]]) -> None:
    content = written(request(["a"]), *appended)
    assert content == b'<?xml version="1.0" encoding="UTF-8"?>\n<rows>\n</rows>\n'


@given(tables, st.sampled_from(["absent", "nil"]))
def test_readers_get_every_text_back_and_what_xml_lacks_is_counted(
    table: tuple[list[str], list[list[Cell]]], null: str
) -> None:
    keys, rows = table
    wanted = request(keys, null=null)
    writer = XmlWriter(wanted)
    content = writer.append(rows) + b"".join(writer.finish())
    plain = [[None if cell is None else cell_text(cell) for cell in row] for row in rows]
    expected = [[text and NO_CHARACTER.sub("\ufffd", text) for text in row] for row in plain]
    assert read(wanted, content) == expected
    lacking = sum(len(NO_CHARACTER.findall(text)) for row in plain for text in row if text)
    assert writer.replaced_characters == lacking
    assert content.count(b"\n") == len(rows) + 3
    # Expat has another list of names.
    assert [[cell.text or "" for cell in row] for row in expat(content)] == [
        [cell.text or "" for cell in row] for row in etree.fromstring(content)
    ]


@given(tables, st.lists(st.integers(0, 6), max_size=4))
def test_the_bytes_are_the_same_in_however_many_pieces_the_rows_come(
    table: tuple[list[str], list[list[Cell]]], cuts: list[int]
) -> None:
    keys, rows = table
    whole = written(request(keys), rows)
    assert written(request(keys), *([row] for row in rows)) == whole
    places = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    pieces = [rows[start:end] for start, end in pairwise(places)]
    assert written(request(keys), *pieces) == whole


@given(st.lists(st.none() | any_texts, max_size=3))
def test_long_cells_are_written_in_pieces_to_the_same_bytes(row: list[Cell]) -> None:
    wanted = request([f"c{place}" for place in range(len(row))] or ["c"])
    whole = written(wanted, [row or [""]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consumer.formats.xml, "LONG_TEXT", 2)
        assert written(wanted, [row or [""]]) == whole


def test_cells_of_a_type_are_valid_by_the_schemas_types() -> None:
    cells_of: dict[ColumnType, list[Cell]] = {
        ColumnType.STRING: ["", "\t x "],
        ColumnType.INTEGER: [0, -(2**70)],
        ColumnType.NUMBER: [1, 0.1, 1e16, 5e-324, -0.0],
        ColumnType.DECIMAL: ["12.50", "-.5", "1E-7", 1e-7, 2**70],
        ColumnType.BOOLEAN: [True, False],
        ColumnType.DATE: ["2026-11-21"],
        ColumnType.TIMESTAMP: ["2026-11-21T10:00:00Z", "2026-11-21T10:00:00.123456789+05:30"],
    }
    wanted = request([{"key": kind, "type": kind} for kind in cells_of])
    rows = [[cells[number % len(cells)] for cells in cells_of.values()] for number in range(10)]
    rows.append([None] * len(cells_of))
    assert len(read(wanted, written(wanted, rows))) == 11
    wrong = written(wanted, [["x"] * len(cells_of)])
    assert not schema_of(wanted).validate(etree.fromstring(wrong))


# Names


@given(st.lists(st.text(max_size=6) | st.text("_x0F5aXmMlL:- ", max_size=8), unique=True))
def test_every_text_has_a_name_of_its_own(keys: list[str]) -> None:
    names = [element_name(key) for key in keys]
    assert len({*names}) == len(keys)
    assert all(map(is_element_name, names))
    for name in names:
        assert etree.fromstring(f"<{name}/>").tag == expat(f"<{name}/>").tag == name


@given(st.text(max_size=6) | st.text("_x0F5aXmMlL:- ", max_size=8))
def test_a_name_says_what_it_stands_for(key: str) -> None:
    name = element_name(key)
    back = re.sub("_x([0-9A-F]{4,6})_", lambda it: chr(int(it[1], 16)), name)
    assert back == (key or "_x_")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("id", "id"),
        ("größe", "größe"),
        ("Amount (EUR)", "Amount_x0020__x0028_EUR_x0029_"),
        ("1st", "_x0031_st"),
        ("a1", "a1"),
        ("a:b", "a_x003A_b"),
        ("_x0020_", "_x005F_x0020_"),
        ("xmlData", "_x0078_mlData"),
        ("XMLData", "_x0058_MLData"),
        ("\N{GRINNING FACE}", "_x01F600_"),
        ("", "_x_"),
    ],
)
def test_names_are_those_of_sql_xml(key: str, name: str) -> None:
    assert element_name(key) == name


@pytest.mark.parametrize(
    "name", ["", "a b", "1a", "-a", "a:b", "xml", "XmlRow", "a\n", "a>", "\U0001d4b3", "a" * 65]
)
@pytest.mark.parametrize("option", ["root", "row"])
def test_what_names_no_element_is_refused(option: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"options.{option}"):
        request(["a"], **{option: name})


def test_every_character_of_a_name_is_one_to_expat_and_libxml() -> None:
    starts = [chr(c) for c in range(0x21, 0x10000) if is_element_name(chr(c))]
    following = [chr(c) for c in range(0x21, 0x10000) if is_element_name(f"a{chr(c)}")]
    assert {*starts} < {*following}
    assert len(starts) > 34_000
    for at in range(0, len(following), 500):
        name = "a" + "".join(following[at : at + 500])
        assert etree.fromstring(f"<{name}/>").tag == expat(f"<{name}/>").tag == name
    for at in range(0, len(starts), 500):
        text = "".join(f"<{one}/>" for one in starts[at : at + 500])
        assert len(etree.fromstring(f"<a>{text}</a>")) == len(expat(f"<a>{text}</a>"))


def test_a_row_that_makes_more_than_a_batch_may_ends_before_it_is_made() -> None:
    text = "&" * (MOST_BATCH_OUTPUT_BYTES // len("&amp;") - 100)
    assert len(written(request(["a"]), [[text]])) <= MOST_BATCH_OUTPUT_BYTES
    long = text * 8
    tracemalloc.start()
    try:
        with pytest.raises(ExportFailure, match="a row makes more than 16,777,216 bytes") as caught:
            XmlWriter(request(["a"])).append([[long]])
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.reason is FailReason.TOO_LARGE
    assert most_bytes < 2 * MOST_BATCH_OUTPUT_BYTES
