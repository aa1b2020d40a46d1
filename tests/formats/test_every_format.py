"""One behaviour suite for every format: the same bytes always, memory that does not grow."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pypdf
import pytest
from lxml import etree

from schemas.records import Cell
from schemas.vocabulary import Format
from tests.formats.exports import COLUMNS, new_writer, rows, whole
from tests.support.xlsx import by_openpyxl

ROOT = Path(__file__).parents[2]
HOSTILE = {
    "empty": "",
    "spaces": " \t ",
    "NUL": "a\0b",
    "control characters": "".join(map(chr, [*range(32), *range(127, 160)])),
    "a lone combining mark": "\u0301",
    "many combining marks": "e" + "\u0301" * 999,  # a key may be as long
    "right to left": "שלום עולם مرحبا بالعالم",
    "direction overrides": "\u202eabc\u2066def\u2069",
    "emoji": "\N{GRINNING FACE}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}\U0001f1f9\U0001f1f7",
    "Han": "漢字仮名交じり文",
    "private use": "\ue000\U000f0000\U0010fffd",
    "no characters": "\ufffe\uffff\ufdd0\U0010ffff",
    "a byte order mark": "\ufeffa",
    "line separators": "a\r\nb\rc\nd\x0be\x0cf\x85g\u2028h\u2029i",
    "the syntax of PDF": "\\()<>[]{}/%\\(\\)) Tj ET endstream endobj",
    "the syntax of CSV": '",";\t"",""""\r\n=cmd|',
    "markup": "<b>&amp;<script>",
    "format directives": "%s %d {0} ${x} \\x41",
    "one of every kind": "".join(map(chr, range(0x20, 0xD800, 97))),
}


def read_csv(content: bytes) -> int:
    """The number of rows, each of which has a field for every column."""
    header, *lines = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    assert all(len(line) == len(header) for line in lines)
    return len(lines)


def read_pdf(content: bytes) -> int:
    """The number of pages that can be read."""
    pages = pypdf.PdfReader(io.BytesIO(content), strict=True).pages
    return len([page.extract_text() for page in pages])


def read_ndjson(content: bytes) -> int:
    """The number of rows, which have the same keys each."""
    read = [json.loads(line) for line in content.decode().split("\n")[:-1]]
    assert all([*row] == [*read[0]] for row in read)
    return len(read)


def read_json(content: bytes) -> int:
    """The number of rows, which have the same keys each, one on a line."""
    read = json.loads(content)
    assert all([*row] == [*read[0]] for row in read)
    assert content.count(b"\n") == len(read) + 2
    return len(read)


def read_xml(content: bytes) -> int:
    """The number of rows, one on a line."""
    read = etree.fromstring(content, etree.XMLParser(huge_tree=True))
    assert content.count(b"\n") == len(read) + 3
    return len(read)


def read_xlsx(content: bytes) -> int:
    """The number of rows, each of which has a cell for every column."""
    ((header, *rows),) = by_openpyxl(content).values()
    assert all(len(row) == len(header) for row in rows)
    return len(rows)


READ: dict[Format, Callable[[bytes], int]] = {
    Format.CSV: read_csv,
    Format.PDF: read_pdf,
    Format.NDJSON: read_ndjson,
    Format.JSON: read_json,
    Format.XML: read_xml,
    Format.XLSX: read_xlsx,
}
PARTS: dict[Format, Callable[[int], int]] = {
    **dict.fromkeys(READ, lambda row_count: row_count),
    Format.PDF: lambda row_count: max(1, -(-row_count // 50)),
}

pytestmark = pytest.mark.parametrize("file_format", list(Format))


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 500])
def test_a_file_is_valid_and_has_every_row(file_format: Format, count: int) -> None:
    assert READ[file_format](whole(new_writer(file_format), rows(count))) == PARTS[file_format](
        count
    )


def test_without_an_append_the_file_is_that_of_no_rows(file_format: Format) -> None:
    assert b"".join(new_writer(file_format).finish()) == whole(new_writer(file_format), [])


@pytest.mark.parametrize(
    "cuts",
    [range(201), range(0, 201, 7), [0, 0, 50, 50, 150, 200], [0, 199, 200, 200], [0, 49, 51, 200]],
    ids=["one by one", "sevens", "pages", "all but one", "beside a page"],
)
def test_the_bytes_are_the_same_in_however_many_pieces_the_rows_come(
    file_format: Format, cuts: list[int]
) -> None:
    cells = rows(200)
    writer = new_writer(file_format)
    places = [*cuts, len(cells)]
    pieces = [writer.append(cells[start:end]) for start, end in pairwise(places)]
    assert b"".join([*pieces, b"".join(writer.finish())]) == whole(new_writer(file_format), cells)


def test_exports_written_in_turns_do_not_touch_each_other(file_format: Format) -> None:
    cells = (rows(200), rows(200, 1_000))
    writers = (new_writer(file_format), new_writer(file_format, COLUMNS[::-1]))
    made = [b"", b""]
    for place in range(0, 200, 10):
        for number in (0, 1):
            made[number] += writers[number].append(cells[number][place : place + 10])
    made = [
        content + b"".join(writer.finish()) for content, writer in zip(made, writers, strict=True)
    ]
    assert made[0] == whole(new_writer(file_format), cells[0])
    assert made[1] == whole(new_writer(file_format, COLUMNS[::-1]), cells[1])


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_process_or_the_machine(file_format: Format) -> None:
    environments = (
        {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8"},
        {"PYTHONHASHSEED": "2", "TZ": "America/Adak", "LC_ALL": "C", "PYTHONUTF8": "0"},
    )
    made = [
        subprocess.run(
            [sys.executable, "-m", "tests.formats.exports", file_format],
            env={**os.environ, **variables},
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout.decode()
        for variables in environments
    ]
    here = hashlib.sha256(whole(new_writer(file_format), rows(500))).hexdigest()
    assert made == [here, here]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(file_format: Format) -> None:
    writer = new_writer(file_format)

    def peak_bytes(start: int, end: int) -> int:
        tracemalloc.reset_peak()
        for place in range(start, end, 500):
            writer.append(rows(500, place))
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        early = peak_bytes(0, 1_000)
        late = peak_bytes(1_000, 4_000)
    finally:
        tracemalloc.stop()
    # 3,000 rows more; kept as text they would be 340 kB and more, as objects many times that.
    assert late - early < 85_000


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_strings_do_no_harm_as_cells_or_headers(file_format: Format, text: str) -> None:
    writer = new_writer(file_format, columns=(text[:900], text[:900] + "2"))
    content = whole(writer, [[text, "x"], ["x", text], [[text], {text: text}]])
    assert READ[file_format](content) == PARTS[file_format](3)


def test_a_very_long_cell_does_no_harm(file_format: Format) -> None:
    long: list[Cell] = ["x" * 100_000, "漢" * 100_000, "a b " * 25_000, [0] * 50_000, 10**4_000]
    columns = tuple(f"c{number}" for number in range(len(long)))
    if file_format is Format.XLSX:  # the most that Excel takes
        long = [cell[:15_000] for cell in long[:4]]
        columns = columns[:4]
    content = whole(new_writer(file_format, columns), [long, long[::-1]])
    assert READ[file_format](content) == PARTS[file_format](2)


def test_a_very_deep_cell_does_no_harm(file_format: Format) -> None:
    deep: Cell = 1
    # Messages hold a thousand levels; the standard library reads no more of them either.
    for _ in range(900 if file_format in {Format.JSON, Format.NDJSON} else 5_000):
        deep = [deep]
    content = whole(new_writer(file_format, ("a", "b")), [[deep, {"k": deep}]])
    assert READ[file_format](content) == PARTS[file_format](1)


@pytest.mark.parametrize("count", [1, 256])
def test_the_fewest_and_the_most_columns(file_format: Format, count: int) -> None:
    columns = tuple(f"column {number}" for number in range(count))
    content = whole(new_writer(file_format, columns), [list(range(count))] * 60)
    assert READ[file_format](content) == PARTS[file_format](60)


def test_only_a_paged_format_counts_pages_and_few_replace_characters(file_format: Format) -> None:
    writer = new_writer(file_format)
    whole(writer, rows(120))
    assert writer.pages == (3 if file_format is Format.PDF else None)
    replaces = file_format in {Format.PDF, Format.XML}
    assert (writer.replaced_characters is not None) == replaces


def test_rows_that_do_not_fit_the_columns_are_never_cut(file_format: Format) -> None:
    for row in ([1], [1, 2, 3]):
        writer = new_writer(file_format, columns=("a", "b"))
        with pytest.raises(ValueError, match=r"shorter|longer"):
            whole(writer, [[1, 2], row])
