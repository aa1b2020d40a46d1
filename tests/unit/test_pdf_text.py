"""Text measured, cut and encoded, each against the glyphs' own widths."""

import pytest

from consumer.formats.pdf import FontStack, load_fonts
from consumer.formats.pdf.subsets import CompositeSubset, two_bytes
from consumer.formats.pdf.text import Copy, Typesetter
from tests.support.pdf import FONTS, make_font

HAN = "".join(map(chr, range(0x4E00, 0x4E00 + 60))) + "漢字"
EM = 200


@pytest.fixture(scope="module")
def wide_fonts(tmp_path_factory: pytest.TempPathFactory) -> FontStack:
    return load_fonts([make_font(tmp_path_factory.mktemp("fonts") / "han.ttf", HAN)])


def real_width(text: str, fonts: FontStack) -> float:
    """In units, as a reader adds it up."""
    faces = [next(face for face in fonts.body if face.has(char)) for char in text]
    return sum(face.width(char) for face, char in zip(faces, text, strict=True)) * EM / 1000


@pytest.mark.parametrize("text", ["", "i", "Wide WORDS", "1234567890.00", "ığüşöç", "x漢字", HAN])
def test_the_measured_width_is_never_less_than_the_real_one(
    text: str, wide_fonts: FontStack
) -> None:
    typesetter = Typesetter(wide_fonts.body, "B")
    (width,) = typesetter.measure(typesetter.prepare([text]))
    assert 0 <= width - real_width(text, wide_fonts) <= len(text)


def fitted(typesetter: Typesetter, copy: Copy, room: int, size: bytes = b"8") -> list[bytes]:
    """The lines, those that are too wide cut."""
    lines = typesetter.lines(copy, size)
    for index in typesetter.wider(copy, room):
        lines[index] = typesetter.cut(copy, lines, index, room, size)[0]
    return lines


@pytest.mark.parametrize("room", [0, 100, 157, 158, 300, 500, 1_000, 1_234, 5_000])
@pytest.mark.parametrize("text", ["The quick brown fox", "a (b) \\c", "iiiiiiiiWWWWWWW"])
def test_the_quick_way_and_the_long_way_cut_alike(
    text: str, room: int, wide_fonts: FontStack
) -> None:
    quick = Typesetter(wide_fonts.body, "B")
    slow = Typesetter(wide_fonts.body, "B")
    alone = fitted(quick, quick.prepare([text]), room)
    assert fitted(slow, slow.prepare([text, "漢"]), room)[:1] == alone


def test_a_text_that_just_fits_is_not_cut() -> None:
    typesetter = Typesetter(FONTS.body, "B")
    copy = typesetter.prepare(["exactly"])
    (width,) = typesetter.measure(copy)
    assert fitted(typesetter, copy, width) == [b"exactly"]
    (cut,) = fitted(typesetter, copy, width - 1)
    assert cut.startswith(b"exac")
    assert cut != b"exactly"
    _, cut_width = typesetter.cut(copy, [b"exactly"], 0, width - 1, b"8")
    assert cut_width < width


def test_where_not_even_an_ellipsis_fits_nothing_is_shown() -> None:
    typesetter = Typesetter(FONTS.body, "B")
    assert fitted(typesetter, typesetter.prepare(["long", ""]), 99) == [b"", b""]


def test_of_a_number_without_room_as_many_signs_stand_there_as_fit() -> None:
    typesetter = Typesetter(FONTS.body, "B")
    shown = [typesetter.not_shown(room) for room in (0, 140, 300, 500, 5_000)]
    assert [line for line, _ in shown] == [b"", b"#", b"##", b"###", b"###"]
    assert all(width <= room for (_, width), room in zip(shown, (0, 140, 300, 500), strict=False))


def test_no_space_is_left_before_the_ellipsis() -> None:
    typesetter = Typesetter(FONTS.body, "B")
    copy = typesetter.prepare(["ab       cd"])
    ellipsis_code = fitted(typesetter, typesetter.prepare(["…"]), EM)[0]
    for room in range(400, 500, 10):
        assert fitted(typesetter, copy, room) == [b"ab" + ellipsis_code]


def test_a_line_in_two_fonts_ends_in_the_base_font(wide_fonts: FontStack) -> None:
    typesetter = Typesetter(wide_fonts.body, "B")
    (line,) = typesetter.lines(typesetter.prepare(["a漢漢b"]), b"8.5")
    assert line == b"a)Tj /B1 8.5 Tf (\1\1\1\1)Tj /B0 8.5 Tf (b"


def test_no_code_of_a_line_has_a_meaning_in_a_string() -> None:
    characters = [chr(code) for code in sorted(FONTS.body[0].parsed().charToGlyph)]
    typesetter = Typesetter(FONTS.body, "B")
    for character in characters:
        (line,) = typesetter.lines(typesetter.prepare([character * 2]), b"8")
        if b"Tj" not in line:
            assert not set(line) & set(b"\0\r\n()\\")


@pytest.mark.parametrize("text", ["a\0b", "\0", "\0\0"])
def test_a_separator_in_a_text_does_not_move_the_others(text: str) -> None:
    typesetter = Typesetter(FONTS.body, "B")
    lines = typesetter.lines(typesetter.prepare(["1", text, "2"]), b"8")
    assert lines == [b"1", text.replace("\0", " ").encode(), b"2"]


def test_a_mark_that_comes_to_its_letter_when_a_joiner_goes_is_still_shown(
    wide_fonts: FontStack,
) -> None:
    typesetter = Typesetter(wide_fonts.body, "B")
    copy = typesetter.prepare(["e\u200d\u0301", "漢"])
    assert copy.texts == ["e\u0301", "漢"]
    lines = typesetter.lines(copy, b"8")
    assert len(lines) == 2
    assert lines[1].startswith(b")Tj /B")


def test_text_met_before_is_set_the_same_way(wide_fonts: FontStack) -> None:
    typesetter = Typesetter(wide_fonts.body, "B")
    texts = ["漢x字", "(1) \\ ok", HAN]
    first, again = typesetter.prepare(texts), typesetter.prepare(texts)
    assert first == again
    assert fitted(typesetter, first, 900) == fitted(typesetter, again, 900)


@pytest.mark.parametrize("room", [0, 300, 900, 50_000])
@pytest.mark.parametrize("texts", [["漢"], ["漢字", HAN], ["", "字", "", HAN, ""]])
def test_texts_of_one_composite_font_met_before_are_set_the_same_way(
    texts: list[str], room: int, wide_fonts: FontStack
) -> None:
    typesetter = Typesetter(wide_fonts.body, "B")
    first, again = typesetter.prepare(texts), typesetter.prepare(texts)
    assert not first.composite
    assert again.composite
    assert fitted(typesetter, first, room) == fitted(typesetter, again, room)


def test_a_line_goes_through_as_many_fonts_as_its_characters_need(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place = tmp_path_factory.mktemp("fonts")
    fonts = load_fonts([make_font(place / f"{char}.ttf", char) for char in "漢字"])
    typesetter = Typesetter(fonts.body, "B")
    (line,) = typesetter.lines(typesetter.prepare(["漢字漢a"]), b"8")
    first, second = (b")Tj /B%d 8 Tf (\1\1" % number for number in (1, 2))
    assert line == first + b")Tj /B0 8 Tf (" + second + b")Tj /B0 8 Tf (" + first + (
        b")Tj /B0 8 Tf (a"
    )


def test_no_byte_of_a_composite_code_has_a_meaning_in_a_string() -> None:
    codes = [two_bytes(number) for number in range(CompositeSubset.CAPACITY)]
    assert len({*codes}) == len(codes)
    assert not set(b"".join(codes)) & set(b"\0\r\n()\\")
