"""Scripts that run from right to left, join, stack or reorder, as other programs read them."""

import re
import shutil
import subprocess
import time
import unicodedata
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from consumer.formats.pdf.scripts import script_of
from consumer.formats.pdf.shaping import MOST_CLUSTERS
from consumer.formats.pdf.text import Typesetter
from tests.support.pdf import FONTS, new_writer, pdf_request, write_pdf

ARABIC = "مرحبا بالعالم"
VOWELLED = "مُحَمَّدٌ رَسُولٌ هُنا"
PERSIAN = "می‌خواهم کتاب"
HEBREW = "שלום עולם"
POINTED = "בְּרֵאשִׁית בָּרָא"
HINDI = "नमस्ते दुनिया क्षत्रिय हिन्दी"
THAI = "สวัสดีชาวโลก น้ำที่ใช้"
SIZE = b"8"


def pdfium_text(content: bytes) -> str:
    """What Chrome's reader extracts of the first page."""
    with pypdfium2.PdfDocument(content) as document:
        # It has marks of one letter in any order.
        return unicodedata.normalize("NFC", document[0].get_textpage().get_text_range())


def poppler_text(path: Path) -> str:
    """What poppler extracts, without the marks of direction that it adds."""
    pdftotext = shutil.which("pdftotext")
    if pdftotext is None:
        pytest.skip("pdftotext (poppler-utils) is not installed")
    found = subprocess.run([pdftotext, "-layout", path, "-"], capture_output=True, check=True)
    return re.sub("[\u202a-\u202e]", "", found.stdout.decode())


def new_typesetter(*, wraps: bool = False) -> Typesetter:
    return Typesetter(FONTS.body, "B", FONTS.shaped_body, wraps=wraps)


@pytest.mark.parametrize("text", [ARABIC, VOWELLED, PERSIAN, HEBREW, POINTED, HINDI, THAI])
def test_text_is_extracted_as_it_went_in(tmp_path: Path, text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    writer = new_writer(pdf_request([{"key": "a", "align": "left"}]))
    content = writer.append([[text]]) + b"".join(writer.finish())
    assert writer.replaced_characters == 0
    assert text in pdfium_text(content)
    path = tmp_path / "text.pdf"
    path.write_bytes(content)
    assert text in poppler_text(path)


def test_figures_and_brackets_within_a_paragraph_from_right_to_left_are_in_reading_order() -> None:
    text = "שלום 1,234.56 (עולם)"
    assert text in pdfium_text(write_pdf(pdf_request(["a"]), [[text]]))


def test_scripts_are_known_in_titles_headers_and_footers_too() -> None:
    request = pdf_request([HEBREW], title=ARABIC, footer=HINDI)
    found = pdfium_text(write_pdf(request, [["x"]]))
    assert all(text in found for text in (ARABIC, HEBREW, HINDI))


def test_letters_join() -> None:
    typesetter = new_typesetter()
    joined, apart = typesetter.measure(typesetter.prepare(["\u0647" * 3, " ".join("\u0647" * 3)]))
    (space,) = typesetter.measure(typesetter.prepare([" "]))
    assert joined < apart - 2 * space


@pytest.mark.parametrize("text", [ARABIC, VOWELLED, POINTED, HINDI, THAI])
def test_text_is_cut_between_clusters_and_no_wider_than_its_room(text: str) -> None:
    typesetter = new_typesetter()
    copy = typesetter.prepare([text])
    (width,) = typesetter.measure(copy)
    ends = {0}
    for room in range(width):
        line, cut = typesetter.cut(copy, typesetter.lines(copy, SIZE), 0, room, SIZE)
        assert cut <= room
        ends.add(len(line))
    # Of "कि" and the like there is no line that holds a part.
    assert len(ends) <= len(copy.texts[0]) + 2
    assert len(copy.texts[0]) <= len(text)


def test_a_cut_ends_on_the_side_where_reading_does() -> None:
    typesetter = new_typesetter()
    ellipsis = typesetter.lines(typesetter.prepare(["…"]), SIZE)[0]
    for text, at_start in ((HEBREW, True), (HINDI, False)):
        copy = typesetter.prepare([text])
        line, _ = typesetter.cut(copy, typesetter.lines(copy, SIZE), 0, 700, SIZE)
        assert line.startswith(ellipsis) is at_start
        assert line.endswith(ellipsis) is not at_start


def test_wrapped_lines_are_each_in_visual_order_and_whole() -> None:
    content = write_pdf(pdf_request(["a", "b"], overflow="wrap"), [[f"{HEBREW} " * 40, "x"]])
    assert pdfium_text(content).replace("\r\n", " ").count(HEBREW) == 40


def test_amounts_in_other_figures_are_never_cut() -> None:
    amount = "1\u066c234\u066c567\u066b89".translate({48 + one: 0x660 + one for one in range(10)})
    columns: list[str | dict[str, Any]] = [{"key": "a", "width": 10}, "b", "c", "d", "e", "f", "g"]
    row = [amount, *["a long text of no figures" * 3] * 6]
    writer = new_writer(pdf_request(columns, orientation="portrait"))
    content = writer.append([row]) + b"".join(writer.finish())
    assert amount in pdfium_text(content)


def test_a_column_that_runs_from_right_to_left_stands_on_the_right() -> None:
    row = pdf_request(["a"], orientation="portrait", page_size="A4")
    document = pypdfium2.PdfDocument(write_pdf(row, [[HEBREW]]))
    page = document[0].get_textpage()
    start = page.get_text_range().index(HEBREW)
    assert page.get_charbox(start)[2] > 500


@pytest.mark.parametrize("overflow", ["cut", "wrap"])
def test_the_bytes_are_the_same_in_however_many_batches(overflow: str) -> None:
    rows = [[text, f"{HEBREW} {number}"] for number in range(60) for text in (ARABIC, HINDI, THAI)]
    request = pdf_request(["a", "b"], overflow=overflow)
    whole, pieces = new_writer(request), new_writer(request)
    expected = whole.append(rows) + b"".join(whole.finish())
    found = b"".join(pieces.append(rows[start : start + 7]) for start in range(0, len(rows), 7))
    assert found + b"".join(pieces.finish()) == expected


def test_a_bracket_from_right_to_left_is_mirrored() -> None:
    typesetter = new_typesetter()
    opening, closing = (
        typesetter.lines(typesetter.prepare([sign]), SIZE)[0] for sign in ("(", ")")
    )
    (line,) = typesetter.lines(typesetter.prepare([f"({HEBREW})"]), SIZE)
    assert line.startswith(opening)
    assert line.endswith(closing)


@pytest.mark.parametrize(
    "text",
    [
        *("ب" + "\u064b" * 1_000_000, "ก" + "\u0e34" * 4_000, "क\u094d" * 2_000),
        *("ب" + "\u200d" * 4_000, "\u202b\u2067\u202e" * 1_300 + "ب", "(ב)a" * 1_000),
        *("(" * 1_300 + "ב" + ")" * 1_300, "ב1 " + "%" * 8_000),
    ],
    ids=["marks", "vowels", "viramas", "joiners", "embeddings", "pairs", "brackets", "percents"],
)
def test_hostile_text_is_set_in_linear_time(text: str) -> None:
    started = time.process_time()
    typesetter = new_typesetter(wraps=True)
    for _ in range(10):
        typesetter.prepare([text])
    assert time.process_time() - started < 1.5


def test_what_a_document_keeps_of_clusters_is_bounded_and_the_rest_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumer.formats.pdf.shaping.MOST_CLUSTERS", 20)
    assert MOST_CLUSTERS > 20
    writer = new_writer(pdf_request(["a"]))
    content = writer.append([["".join(map(chr, range(0x5D0, 0x5EA)))]]) + b"".join(writer.finish())
    assert writer.replaced_characters == 6
    assert "\ufffd" * 6 in pdfium_text(content)


def test_characters_that_stand_for_clusters_are_of_no_font() -> None:
    typesetter = new_typesetter()
    typesetter.prepare([HEBREW])
    private = typesetter.prepare([HEBREW]).texts[0][0]
    assert ord(private) >= 0x40000
    assert typesetter.prepare([private]).texts == ["\ufffd"]
    assert typesetter.prepare([private + HEBREW]).texts[0][0] == "\ufffd"


def test_what_is_not_shaped_takes_the_way_that_it_took() -> None:
    assert not any(map(script_of, map(chr, range(0x590))))
    copy = new_typesetter().prepare(["Orders", "1,234.50 €"])
    assert copy.codes is not None
