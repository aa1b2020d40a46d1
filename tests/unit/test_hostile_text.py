"""Text that is made to take long: what a file's writer does with it takes time linear in it."""

import sys
import tracemalloc
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.errors import ExportFailure
from consumer.formats.csv import CsvWriter
from consumer.formats.pdf import PdfWriter, stream_safe
from consumer.formats.pdf.repertoire import ELLIPSIS
from consumer.formats.pdf.stream_safe import JOINER, MARKS_WITHIN, MOST_MARKS, is_mark
from consumer.formats.pdf.text import MOST_TEXT, shortened
from schemas.options import CsvOptions
from schemas.records import Cell
from schemas.requests import Column, ExportRequested
from schemas.vocabulary import FailReason, Format
from tests.support.cpu import cpu_time
from tests.support.pdf import new_writer, pages_of, pdf_request, write_pdf

MIB = 1024 * 1024
MARKS = "\u0301" * 400_000 + "\u0323" * 400_000
"""Took 8 minutes to normalize."""
LONGEST_SECONDS = 2
"""Ten times what it takes on a quiet machine."""


def timed(call: Callable[[], object]) -> float:
    with cpu_time() as took:
        call()
    return took.seconds


def test_marks_are_where_they_are_looked_for() -> None:
    beyond = (code for code in range(sys.maxunicode + 1) if code not in MARKS_WITHIN)
    assert not any(is_mark(chr(code)) for code in beyond)
    assert is_mark("\u0301")
    assert is_mark("\u0f73")  # of no class itself, but made of two marks
    assert not is_mark("é")


@given(st.text(st.sampled_from("ae\u0301\u0323\u0344\u0f73\u034f漢"), max_size=200))
def test_no_run_of_marks_is_longer_than_thirty(text: str) -> None:
    safe = stream_safe.stream_safe(text)
    runs = "".join("m" if is_mark(char) else " " for char in safe).split()
    assert max(map(len, runs), default=0) <= MOST_MARKS
    assert safe.replace(JOINER, "") == text.replace(JOINER, "")
    assert stream_safe.stream_safe(safe) == safe
    assert stream_safe.is_stream_safe(safe)
    assert stream_safe.is_stream_safe(text) == (safe == text)


def test_thirty_marks_are_as_they_were() -> None:
    text = "e" + "\u0301" * MOST_MARKS
    assert stream_safe.stream_safe(text) == text
    assert stream_safe.stream_safe(text + "\u0301") == text + JOINER + "\u0301"


@pytest.mark.parametrize("marks", [MARKS, "\u0344" * 400_000, "\u0f73" * 400_000, "a" + MARKS])
def test_marks_in_a_pdf_cell_take_no_time(marks: str) -> None:
    request = pdf_request(["a"])
    assert timed(lambda: write_pdf(request, [[marks]] * 3)) < LONGEST_SECONDS


def test_marks_in_title_and_header_take_no_time() -> None:
    request = pdf_request([MARKS[399_500:400_500]], title=MARKS[399_500:400_500])
    assert timed(lambda: write_pdf(request, [["a"]])) < LONGEST_SECONDS


def test_marks_that_were_met_before_take_no_time() -> None:
    writer = new_writer(pdf_request(["a"], records_per_page=1))
    writer.append([["a\u0301\u0323 漢"]])
    assert timed(lambda: writer.append([[MARKS]] * 3)) < LONGEST_SECONDS


def test_marks_beyond_thirty_are_shown_all_the_same() -> None:
    shown = pages_of(write_pdf(pdf_request(["a"]), [["e" + "\u0301" * 40 + "x"]]))[0][2]
    assert unicodedata.normalize("NFC", "e\u0301") in shown
    assert shown.endswith("x")
    assert JOINER not in shown


def test_of_a_cell_of_megabytes_what_can_be_seen_is_looked_at() -> None:
    text = "word " * (2 * MIB)
    begun = pages_of(write_pdf(pdf_request(["a"]), [[text]]))[0][2]
    assert begun == pages_of(write_pdf(pdf_request(["a"]), [[text[:5_000]]]))[0][2]
    assert begun.endswith(ELLIPSIS)
    assert timed(lambda: write_pdf(pdf_request(["a"]), [[text]] * 3)) < LONGEST_SECONDS


def test_what_is_cut_ends_in_an_ellipsis_even_if_it_is_narrow() -> None:
    assert shortened("x" * MOST_TEXT) == "x" * MOST_TEXT
    assert shortened("x" * 9_999) == "x" * MOST_TEXT + ELLIPSIS
    assert shortened(shortened("x" * 9_999)) == shortened("x" * 9_999)


def test_rows_that_wait_for_their_page_are_kept_as_they_are_shown() -> None:
    writer = new_writer(pdf_request(["a", "b"], records_per_page=1_000))
    tracemalloc.start()
    try:
        for number in range(200):
            writer.append([[f"{number}" * MIB, {"nested": ["x" * MIB]}]])
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 4 * MIB


def test_the_batches_of_long_cells_do_not_show() -> None:
    rows: list[list[Cell]] = [[f"{number} " * 3_000, [["x" * 9_000]]] for number in range(60)]
    request = pdf_request(["a", "b"])
    whole, one_by_one = new_writer(request), new_writer(request)
    at_once = whole.append(rows) + b"".join(whole.finish())
    assert at_once == b"".join(one_by_one.append([row]) for row in rows) + b"".join(
        one_by_one.finish()
    )


def fill(writer: PdfWriter) -> None:
    for _ in range(20):
        writer.append([["x" * MOST_TEXT] * 256])


def test_a_page_of_too_much_text_fails() -> None:
    columns = [f"c{number}" for number in range(256)]
    writer = new_writer(pdf_request(columns, records_per_page=1_000))
    with pytest.raises(ExportFailure, match="a page has more than 16,777,216 characters") as caught:
        fill(writer)
    assert caught.value.reason is FailReason.TOO_LARGE


@pytest.mark.parametrize(
    "text",
    [
        "-" + "1" * MIB + "x",
        "+." + "1" * MIB + "e",
        "-1." + "1" * MIB + "e+",
        "=" + '"' * MIB,
        "@" + "," * MIB,
        "\r" * MIB,
    ],
)
def test_a_csv_field_takes_no_time(text: str) -> None:
    request = ExportRequested(
        export_id="a", format=Format.CSV, columns=(Column(key="a"),), options=CsvOptions()
    )
    writer = CsvWriter(request)
    assert timed(lambda: writer.append([[text], ["x"]])) < LONGEST_SECONDS
