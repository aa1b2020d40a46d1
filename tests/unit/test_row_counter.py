import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.formats.csv import CsvWriter
from consumer.formats.registry import Formats
from consumer.verify.row_counter import (
    CsvRowCounter,
    PdfRowCounter,
    RowCounter,
    looks_headed,
    row_counter,
)
from schemas.records import Cell
from schemas.requests import ExportRequested
from schemas.vocabulary import Format
from tests.support.pdf import pdf_request, reader_of, write_pdf

CELLS = st.one_of(st.none(), st.text('ab,;"\r\n\t€=Td-1.( ', max_size=6), st.integers())


def counted(by: RowCounter, content: bytes, piece_bytes: int = 7) -> tuple[int, int | None]:
    for start in range(0, len(content), piece_bytes):
        by.feed(content[start : start + piece_bytes])
    return by.rows, by.pages


@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=20),
    delimiter=st.sampled_from(",;\t|€"),
    ending=st.sampled_from(["crlf", "lf"]),
    flags=st.tuples(st.booleans(), st.booleans()),
    null=st.sampled_from(["", "NULL", '"', "a\n"]),
    piece_bytes=st.integers(1, 50),
)
def test_records_of_a_csv_are_counted_whatever_its_options(
    rows: list[list[object]],
    delimiter: str,
    ending: str,
    flags: tuple[bool, bool],
    null: str,
    piece_bytes: int,
) -> None:
    header, bom = flags
    request = ExportRequested.model_validate(
        {
            "export_id": "a",
            "format": "csv",
            "columns": ["n", 'a "quoted"\nheader'],
            "options": {
                "delimiter": delimiter,
                "line_ending": ending,
                "header": header,
                "bom": bom,
                "null": null,
            },
        }
    )
    writer = CsvWriter(request)
    content = writer.append(rows) + b"".join(writer.finish())
    assert counted(CsvRowCounter(), content, piece_bytes) == (len(rows) + header, None)


@pytest.mark.slow
@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=20),
    file_format=st.sampled_from([Format.NDJSON, Format.JSON, Format.XML]),
    piece_bytes=st.integers(1, 50),
)
def test_rows_of_formats_with_a_row_a_line_are_counted(
    rows: list[list[object]], file_format: Format, piece_bytes: int
) -> None:
    fields = {"export_id": "a", "format": file_format, "columns": ["n", "a\nb"]}
    writer = Formats().writer(ExportRequested.model_validate(fields), None)
    content = writer.append(rows) + b"".join(writer.finish())
    assert counted(row_counter(file_format), content, piece_bytes) == (len(rows), None)
    assert counted(row_counter(file_format), b"") == (0, None)


@pytest.mark.parametrize(
    ("content", "records"),
    [(b"", 0), (b"\r\n", 1), (b"a", 1), (b"a\n\n", 2), (b'"a\n', 1), (b'a\n"b""\n"', 2)],
)
def test_a_record_without_an_end_counts(content: bytes, records: int) -> None:
    assert counted(CsvRowCounter(), content) == (records, None)


@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=30),
    per_page=st.sampled_from([1, 7, 1_000]),
    piece_bytes=st.integers(100, 20_000),
)
def test_rows_and_pages_of_a_pdf_are_counted(
    rows: list[list[object]], per_page: int, piece_bytes: int
) -> None:
    columns = ["n", "0 -1 Td (", "c"]
    content = write_pdf(pdf_request(columns, "1 -2 Td (x)", records_per_page=per_page), rows)
    pages = max(1, -(-len(rows) // per_page))
    assert counted(PdfRowCounter(), content, piece_bytes) == (len(rows), pages)


@pytest.mark.parametrize("piece_bytes", [1, 1_000_000])
def test_one_column_of_numbers_is_a_table_too(piece_bytes: int) -> None:
    content = write_pdf(pdf_request(["n"]), [[n] for n in range(120)])
    assert counted(PdfRowCounter(), content, piece_bytes) == (120, 3)


@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=40),
    columns=st.integers(1, 3),
    aligns=st.lists(st.sampled_from(["left", "right", "center"]), min_size=3, max_size=3),
)
def test_lines_of_a_wrapped_cell_are_no_rows(
    rows: list[list[Cell]], columns: int, aligns: list[str]
) -> None:
    keys = [{"key": f"c{place}", "align": aligns[place]} for place in range(columns)]
    request = pdf_request(keys, overflow="wrap", page_size="A5")
    content = write_pdf(request, [row[:columns] for row in rows])
    pages = len(reader_of(content).pages)
    assert counted(PdfRowCounter(), content, 1_000_000) == (len(rows), pages)


def test_a_page_whose_content_is_broken_has_no_rows() -> None:
    page = b"<< /Type /Page /Parent 4 0 R /Contents 6 0 R >>\nendobj\n6 0 obj\n"
    stream = b"<< /Filter /FlateDecode /Length 5 >>\nstream\nno zl"
    assert counted(PdfRowCounter(), b"%PDF-1.7\n5 0 obj\n" + page + stream) == (0, 1)
    assert counted(PdfRowCounter(), b"no PDF at all" * 100) == (0, 0)


@pytest.mark.parametrize(
    ("content", "headed"),
    [
        (b"id,name\r\n1,a\r\n2,b\r\n", True),
        (b"1,a\r\n2,b\r\n", False),
        (b"a,b\nc,d\n", False),
        (b'"a\n1",b\n2,d\n', False),
        (b'"na\nme",b\n"2\n",d\n', True),
        (b"a,b\n", False),
        (b"", False),
        (b'"', False),
    ],
)
def test_a_header_line_stands_out(content: bytes, headed: bool) -> None:
    assert looks_headed(content) is headed
