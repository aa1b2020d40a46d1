"""What is in a PDF export, as another library reads it."""

import itertools
import re
import sys
import tracemalloc
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from consumer.formats.pdf import FontStack, PdfWriter, load_fonts
from schemas.records import Cell
from tests.support.pdf import (
    FONTS,
    REQUESTED_AT,
    make_font,
    metadata_of,
    new_writer,
    pages_of,
    pdf_request,
    reader_of,
    write_pdf,
)

HAN = "".join(map(chr, range(0x4E00, 0x4E00 + 400)))
EMOJI = "\N{GRINNING FACE}\N{ROCKET}"
NAMES = (
    "Ağaç İşleri Şti., ığüöç ĞÜŞİÖÇ",
    "Γιώργος Παπαδόπουλος, Ελένη",
    "Дмитрий Соловьёв, Київ, Љубљана",
    "Žofie Dvořáková, Łukasz Wiśniewski",
    "François Lefèvre, Åsa Ödegård, Núñez",
    "Nguyễn Văn Ấn, Þórður, Ġużè, Ķēniņš",
    "“quotes” — … € £ ½ © §",
)


@pytest.fixture(scope="module")
def wide_fonts(tmp_path_factory: pytest.TempPathFactory) -> FontStack:
    """Open Sans, then a font for 400 ideographs and two emoji."""
    return load_fonts([make_font(tmp_path_factory.mktemp("fonts") / "han.ttf", HAN + EMOJI)])


def numbered(count: int) -> list[list[Cell]]:
    return [[number, f"row {number}"] for number in range(1, count + 1)]


def shown(cell: Cell, fonts: FontStack = FONTS) -> str:
    """How the only cell of a table reads back."""
    return pages_of(write_pdf(pdf_request(["a"]), [[cell]], fonts))[0][2]


@pytest.mark.parametrize(
    ("count", "records_per_page", "pages"),
    [
        *((0, 50, 1), (1, 50, 1), (50, 50, 1), (51, 50, 2), (150, 50, 3)),
        *((0, 1, 1), (3, 1, 3), (15, 7, 3), (1_001, 1_000, 2)),
    ],
)
def test_each_page_has_its_headers_its_number_and_exactly_its_records(
    count: int, records_per_page: int, pages: int
) -> None:
    request = pdf_request(["Order no.", "Text"], title="Orders", records_per_page=records_per_page)
    writer = new_writer(request)
    read = pages_of(writer.append(numbered(count)) + b"".join(writer.finish()))
    assert len(read) == writer.pages == pages
    for index, (title, headers, *rows, footer) in enumerate(read):
        first = index * records_per_page + 1
        last = min(first + records_per_page, count + 1)
        assert title == "Orders"
        assert headers == "Order no. Text"
        assert rows == [f"{number} row {number}" for number in range(first, last)]
        assert footer == f"Page {index + 1} of {pages} 2026-11-21 10:30 UTC"


@pytest.mark.parametrize("text", NAMES)
def test_european_scripts_come_out_right_in_cells_headers_and_title(text: str) -> None:
    writer = new_writer(pdf_request([text], title=text))
    content = writer.append([[text]]) + b"".join(writer.finish())
    assert pages_of(content)[0][:3] == [text, text, text]
    assert writer.replaced_characters == 0


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "x"),
        ("", "x"),
        (True, "true x"),
        (12.5, "12.5 x"),
        (2**70, "1180591620717411303424 x"),
        ([1, None, "ş"], '[1,null,"ş"] x'),
        ({"k": {}}, '{"k":{}} x'),
    ],
)
def test_any_json_value_is_a_cell(cell: Cell, text: str) -> None:
    assert pages_of(write_pdf(pdf_request(), [[cell, "x"]]))[0][2] == text


@pytest.mark.parametrize("text", ["(", ")", "\\", "))((", "(a\\b)", "\\)", "\\\\(", "<</Tj ET>>"])
def test_what_means_something_to_pdf_is_text_in_a_cell(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a\tb", "a b"),
        ("a\nb\rc\x0bd\x0ce\x85f\u2028g\u2029h", "a b c d e f g h"),
        ("a\0b\x07c\x7fd\x9fe", "a b c d e"),
        ("a\u200db\ufeffc\u00add\ufe0fe\u202ef\U000e0001g", "abcdefg"),
        ("e\u0301 s\u0327 u\u0308", "é ş ü"),
    ],
    ids=["tab", "line breaks", "control characters", "ignorable characters", "combining marks"],
)
def test_what_is_not_shown_as_it_stands(text: str, read: str) -> None:
    assert shown(text) == read


def test_every_character_of_the_bundled_font_can_be_in_one_file() -> None:
    """That is more than the one-byte codes, so all of these are given out, and two-byte ones."""
    codepoints = sorted(FONTS.body[0].parsed().charToGlyph)
    characters = [chr(code) for code in codepoints if chr(code).isprintable()]
    texts = [f"{character}x" for character in characters if FONTS.body[0].has(character)]
    assert len(texts) > 800
    writer = new_writer(pdf_request(["a"], records_per_page=1_000))
    (page,) = pages_of(writer.append([[text] for text in texts]) + b"".join(writer.finish()))
    assert page[2:-1] == [unicodedata.normalize("NFC", text).strip() for text in texts]
    assert writer.replaced_characters == 0


def test_ideographs_and_characters_beyond_the_bmp_come_from_further_fonts(
    wide_fonts: FontStack,
) -> None:
    writer = new_writer(pdf_request(["名", "b"], title=f"Rapor {HAN[:3]} {EMOJI}"), wide_fonts)
    cells = [[f"ş{HAN[number : number + 9]}x", EMOJI] for number in range(0, 400, 10)]
    (page,) = pages_of(writer.append(cells) + b"".join(writer.finish()))
    assert page[0] == f"Rapor {HAN[:3]} {EMOJI}"
    assert page[2:-1] == [" ".join(row) for row in cells]
    assert writer.replaced_characters == 1  # the header


@pytest.mark.slow
def test_more_characters_of_a_face_than_one_font_holds(tmp_path: Path) -> None:
    characters = "".join(map(chr, range(0x20000, 0x20000 + 33_000)))
    fonts = load_fonts([make_font(tmp_path / "large.ttf", characters)])
    last = [characters[number : number + 7] for number in range(31_980, 32_020, 7)]
    all_of_them = [characters[number : number + 4_000] for number in range(0, 33_000, 4_000)]
    content = write_pdf(pdf_request(["a"]), [[text] for text in (*all_of_them, *last)], fonts)
    assert pages_of(content)[0][11:-1] == last
    names = {*re.findall(rb"/BaseFont /([A-Z]{6})[+]Bitstream", content)}
    assert len(names) == 2


def test_fonts_are_tried_in_their_order(tmp_path: Path) -> None:
    first = make_font(tmp_path / "first.ttf", "x漢")
    second = make_font(tmp_path / "second.ttf", "漢字")
    content = write_pdf(pdf_request(["a"]), [["x漢字"]], load_fonts([first, second]))
    assert pages_of(content)[0][2] == "x漢字"
    names = {*re.findall(rb"/BaseFont /([A-Z]{6})[+]", content)}
    assert len(names) == 4  # Open Sans twice; of the others the second only for what it alone has


def test_characters_that_no_font_has_are_replaced_and_counted() -> None:
    writer = new_writer(pdf_request(["字", "b"], title="漢字"))
    content = b"".join(writer.append([["12 字", "漢漢"], ["ok", "\ufffd"]]) for _ in range(50))
    content += b"".join(writer.finish())
    assert writer.pages == 2
    assert writer.replaced_characters == 2 + 1 + 50 * 3  # headers and title once, not on each page
    first, second = pages_of(content)
    assert first[:4] == ["��", "� b", "12 � ��", "ok �"]
    assert second[:4] == first[:4]
    assert metadata_of(content) == {
        "/Title": "漢字",
        "/Producer": "Sluice",
        "/CreationDate": "D:20261121103005+00'00'",
    }


def test_a_long_cell_is_cut_with_an_ellipsis() -> None:
    text = "The quick brown fox jumps over the lazy dog, again and again. " * 9
    (page,) = pages_of(write_pdf(pdf_request(["id", "text"]), [[1, text], [2, "short"]]))
    number, _, cut = page[2].partition(" ")
    assert number == "1"
    assert cut.endswith("…")
    assert text.startswith(cut[:-1])
    assert 60 < len(cut) < 200
    assert page[3] == "2 short"


def test_title_defaults_to_the_export_id() -> None:
    content = write_pdf(pdf_request(), [])
    assert pages_of(content)[0][0] == "ord-2026-11"
    assert metadata_of(content).title == "ord-2026-11"


@pytest.mark.parametrize("title", ["(a\\b)\r\n\0", "Şubat özeti", EMOJI, "%PDF endobj", "é" * 500])
def test_any_title_is_in_the_metadata(title: str) -> None:
    content = write_pdf(pdf_request(title=title), [])
    assert metadata_of(content).title == title
    shown = re.sub("[\0-\x08\x0b\x0c\x0e-\x1f]", "\ufffd", title)
    description = reader_of(content).xmp_metadata
    assert description
    assert description.dc_title == {"x-default": shown}
    assert description.pdf_producer == "Sluice"
    assert description.xmp_create_date == REQUESTED_AT.replace(tzinfo=None)
    assert str(reader_of(content).root_object["/Lang"]) == "und"


def test_the_date_is_that_of_the_request_in_utc() -> None:
    moment = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=3)))
    writer = PdfWriter(pdf_request(), dated_at=moment, fonts=FONTS)
    content = b"".join(writer.finish())
    assert metadata_of(content).creation_date == datetime(2026, 2, 28, 22, 30, tzinfo=UTC)
    assert pages_of(content)[0][-1] == "Page 1 of 1 2026-02-28 22:30 UTC"


@pytest.mark.parametrize(
    ("date", "timezone", "shown"),
    [
        ("9999-12-31T23:59:59Z", "Europe/Istanbul", "9999-12-31 23:59 UTC"),
        ("0001-01-01T00:00:00Z", "America/New_York", "0001-01-01 00:00 UTC"),
        ("1900-01-01T00:00:00Z", "Europe/Istanbul", "1900-01-01 01:56 UTC+01:57"),
        ("2026-03-01T00:00:00Z", "America/St_Johns", "2026-02-28 20:30 UTC-03:30"),
    ],
)
def test_a_date_of_any_year_is_shown_in_any_time_zone(date: str, timezone: str, shown: str) -> None:
    request = pdf_request(timezone=timezone)
    writer = PdfWriter(request, dated_at=datetime.fromisoformat(date), fonts=FONTS)
    assert pages_of(b"".join(writer.finish()))[0][-1] == f"Page 1 of 1 {shown}"


def test_without_a_date_it_shows_none() -> None:
    content = b"".join(PdfWriter(pdf_request(), dated_at=None, fonts=FONTS).finish())
    assert metadata_of(content).creation_date is None
    assert pages_of(content)[0][-1] == "Page 1 of 1"


@pytest.mark.parametrize(
    ("size", "width", "height"),
    [
        *(("A3", 842, 1191), ("A4", 595, 842), ("A5", 420, 595)),
        *(("letter", 612, 792), ("legal", 612, 1008)),
    ],
)
def test_page_size_and_orientation(size: str, width: int, height: int) -> None:
    portrait = write_pdf(pdf_request(page_size=size), numbered(60))
    landscape = write_pdf(pdf_request(page_size=size, orientation="landscape"), numbered(60))
    for content, expected in ((portrait, (width, height)), (landscape, (height, width))):
        for page in reader_of(content).pages:
            assert (round(page.mediabox.width), round(page.mediabox.height)) == expected
        assert [len(lines) for lines in pages_of(content)] == [53, 13]


def test_256_columns_are_written() -> None:
    columns = [f"c{number}" for number in range(256)]
    content = write_pdf(pdf_request(columns), [["x"] * 256] * 51)
    assert len(reader_of(content).pages) == 2


def test_the_same_rows_give_the_same_identity_and_others_another() -> None:
    first, again, other = (
        reader_of(write_pdf(pdf_request(), rows)).trailer["/ID"]
        for rows in ([[1, "x"]], [[1, "x"]], [[2, "x"]])
    )
    assert first == again != other


def test_exports_on_many_threads_give_the_bytes_they_give_alone(wide_fonts: FontStack) -> None:
    def cells(seed: int) -> list[list[Cell]]:
        return [[HAN[(seed * 7 + row) % 390 :][:5], NAMES[(seed + row) % 7]] for row in range(500)]

    def made(seed: int) -> bytes:
        writer = new_writer(pdf_request(title=f"export {seed}"), wide_fonts)
        return b"".join([*(writer.append([row]) for row in cells(seed)), b"".join(writer.finish())])

    alone = [made(seed) for seed in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as threads:
            together = list(threads.map(made, range(8)))
    finally:
        sys.setswitchinterval(interval)
    assert together == alone


@pytest.mark.slow
def test_an_open_writer_keeps_little_and_no_more_with_every_page() -> None:
    def rows() -> Iterator[list[list[Cell]]]:
        for start in itertools.count(0, 500):
            yield [[number, f"customer {number % 97}"] for number in range(start, start + 500)]

    batches = rows()
    tracemalloc.start()
    try:
        writer = new_writer(pdf_request())
        for _ in range(10):
            writer.append(next(batches))
        early = tracemalloc.get_traced_memory()[0]
        for _ in range(70):
            writer.append(next(batches))
        late = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert writer.pages == 800
    assert early < 250_000
    # Bytes a page, which itself has 5,000: two offsets, and what the interpreter keeps for reuse.
    assert (late - early) / 700 < 200


def test_a_request_for_another_format_is_refused() -> None:
    request = pdf_request().model_copy(update={"options": None})
    with pytest.raises(TypeError, match="not for a PDF"):
        PdfWriter(request, dated_at=REQUESTED_AT, fonts=FONTS)
