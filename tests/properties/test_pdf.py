"""Any text in any cell: the file opens, nothing is lost up to the cuts, the bytes stay the same."""

import re
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.formats.cells import cell_text
from consumer.formats.pdf import FontStack, load_fonts
from consumer.formats.pdf.columns import levelled
from consumer.formats.pdf.scripts import script_of
from consumer.formats.pdf.table import texts_of
from consumer.formats.pdf.text import Typesetter
from schemas.records import Cell
from tests.support.pdf import (
    FONTS,
    make_font,
    metadata_of,
    new_writer,
    pages_of,
    pdf_request,
    reader_of,
    write_pdf,
)
from tests.support.strategies import cells, floats, texts

HAN = "漢字仮名交文日本語中国東京発行"
LETTERS = st.sampled_from("abcxyzABCWM019 .,()\\<>%/éşğıİüßΩλЖщ€—" + HAN)
anything = texts | st.text(LETTERS, max_size=60)
KINDS: list[st.SearchStrategy[Cell]] = [
    *(st.none(), st.booleans(), st.integers(), floats, anything)
]
tables = st.integers(1, 5).flatmap(
    lambda count: st.lists(
        st.lists(cells | anything, min_size=count, max_size=count), min_size=1, max_size=12
    )
)


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> FontStack:
    """Open Sans, then a font for some ideographs."""
    return load_fonts([make_font(tmp_path_factory.mktemp("fonts") / "han.ttf", HAN)])


@given(rows=tables, title=anything, records_per_page=st.integers(1, 4))
def test_any_export_opens_and_says_what_it_has(
    fonts: FontStack, rows: list[list[Cell]], title: str, records_per_page: int
) -> None:
    columns = [f"column {number}" for number in range(len(rows[0]))]
    request = pdf_request(columns, title=title or "none", records_per_page=records_per_page)
    writer = new_writer(request, fonts)
    content = writer.append(rows) + b"".join(writer.finish())
    pages = [page.extract_text() for page in reader_of(content).pages]
    assert len(pages) == writer.pages == -(-len(rows) // records_per_page)
    assert metadata_of(content).title == (title or "none")
    assert all(f"Page {number} of" in page for number, page in enumerate(pages, start=1))


@given(lines=st.lists(st.text(LETTERS, min_size=1, max_size=40), min_size=1, max_size=60))
def test_texts_read_back_up_to_their_cuts(fonts: FontStack, lines: list[str]) -> None:
    content = write_pdf(
        pdf_request([{"key": "text", "width": 150}], records_per_page=60),
        [[f"{number}:{line}"] for number, line in enumerate(lines)],
        fonts,
    )
    (page,) = pages_of(content)
    assert len(page) == len(lines) + 3
    for number, (line, read) in enumerate(zip(lines, page[2:], strict=False)):
        whole = re.sub(" +", " ", f"{number}:{line}").strip(" ")
        assert read == whole or (read[-1] == "…" and whole.startswith(read[:-1]))


@given(
    rows=tables,
    cuts=st.lists(st.integers(0, 12), max_size=6),
    overflow=st.sampled_from(["cut", "wrap"]),
)
def test_the_bytes_do_not_depend_on_the_pieces_or_on_other_exports(
    fonts: FontStack, rows: list[list[Cell]], cuts: list[int], overflow: str
) -> None:
    columns = [str(number) for number in range(len(rows[0]))]
    request = pdf_request(columns, records_per_page=3, overflow=overflow)
    writer, other = new_writer(request, fonts), new_writer(request, fonts)
    made = b""
    for start, end in pairwise([0, *sorted(cuts), len(rows)]):
        made += writer.append(rows[start:end])
        other.append(rows[::-1])
    made += b"".join(writer.finish())
    assert made == write_pdf(request, rows, fonts)


@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 10**12), st.text("abc ", max_size=60), st.integers(-(10**9), 10**6)
        ),
        min_size=1,
        max_size=30,
    ),
    overflow=st.sampled_from(["cut", "wrap"]),
)
def test_no_number_is_cut_while_there_is_room(
    rows: list[tuple[int, str, int]], overflow: str
) -> None:
    request = pdf_request(["a", "b", "c"], records_per_page=2, overflow=overflow)
    cells: list[list[Cell]] = [[*row] for row in rows]
    words = [
        word for page in pages_of(write_pdf(request, cells)) for word in " ".join(page).split()
    ]
    for first, _, last in rows:
        assert str(first) in words
        assert str(last) in words


@settings(max_examples=200)
@given(given_texts=st.lists(anything, min_size=1, max_size=8), room=st.integers(0, 6_000))
def test_no_line_is_wider_than_its_room(
    fonts: FontStack, given_texts: list[str], room: int
) -> None:
    typesetter = Typesetter(fonts.body, "B")
    copy = typesetter.prepare(given_texts)
    uncut = typesetter.measure(copy)
    lines = typesetter.lines(copy, b"8")
    wide = typesetter.wider(copy, room)
    assert wide == {index: width for index, width in enumerate(uncut) if width > room}
    for index in wide:
        assert typesetter.cut(copy, lines, index, room, b"8")[1] <= room


@given(
    column=st.lists(st.sampled_from(KINDS), min_size=1, max_size=2).flatmap(
        lambda kinds: st.lists(st.one_of(kinds), min_size=1)
    )
)
def test_a_columns_texts_are_those_of_its_cells(column: list[Cell]) -> None:
    (column_texts,) = texts_of([[cell] for cell in column])
    assert [*column_texts] == [*map(cell_text, column)]


UNSHAPED = st.characters(categories=["Lu", "Ll", "Nd", "Sc", "Sm", "So"]).filter(
    lambda character: not script_of(character)
)


@given(text=st.text(UNSHAPED))
def test_replaced_characters_are_those_that_no_font_has(text: str) -> None:
    typesetter = Typesetter(FONTS.body, "B")
    (shown,) = typesetter.prepare([text]).texts
    composed = unicodedata.normalize("NFC", text)
    stand_ins = {chr(0x2212): "-"}
    expected = [
        char if any(face.has(char) for face in FONTS.body) else stand_ins.get(char, "\ufffd")
        for char in composed
    ]
    assert [*shown] == expected
    assert typesetter.replaced_characters == expected.count("\ufffd") - text.count("\ufffd")


@given(
    pairs=st.lists(st.tuples(st.floats(0, 99), st.floats(0.1, 1_000)), min_size=1, max_size=40),
    total=st.floats(0.1, 2_000),
)
def test_a_width_is_shared_out_whole_and_fairly(
    pairs: list[tuple[float, float]], total: float
) -> None:
    low = [least for least, _ in pairs]
    high = [least + more for least, more in pairs]
    total = min(max(total, sum(low)), sum(high))
    shares = levelled(low, high, total)
    assert sum(shares) == pytest.approx(total, abs=1e-6)
    level = max(
        (share for share, least in zip(shares, low, strict=True) if share > least), default=0
    )
    for least, share, most in zip(low, shares, high, strict=True):
        assert least <= share <= most
        assert share in {least, most} or share == pytest.approx(level)
