"""Which files are fonts that a PDF can embed."""

from pathlib import Path

import pytest
from reportlab.pdfbase.ttfonts import TTFontMaker

from consumer.formats.pdf import load_fonts
from consumer.formats.pdf.repertoire import Repertoire
from tests.support.pdf import VERA, make_font, new_writer, pages_of, pdf_request


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Ḩattā Shīnḏanḏ Əhmədbəyli",
            "₹ ₺ ₽ € ₿",
            "→ ← ✓ ✗ ★ ■ ♥",
            "H₂O ½ ẞ Ǆ ɐ ʃ",
            "≤ ≥ ≠ ∑ √ ∞",
        ),
        *("1\u202f234\u202f567,50", "a\u2010b\u2011c\u2012d", "Ἀθῆναι Ѳ Ԁ"),
    ],
)
def test_names_amounts_and_signs_of_most_of_the_world_are_shown(text: str) -> None:
    writer = new_writer(pdf_request(["a"]))
    content = writer.append([[text]]) + b"".join(writer.finish())
    assert pages_of(content)[0][2] == text
    assert writer.replaced_characters == 0


@pytest.mark.parametrize("text", ["ខ្មែរ", "ܫܠܡܐ"])
def test_a_script_that_no_font_has_is_replaced_and_counted(text: str) -> None:
    writer = new_writer(pdf_request(["a"]))
    writer.append([[text]])
    b"".join(writer.finish())
    assert writer.replaced_characters == len(text)


@pytest.mark.parametrize(
    ("text", "shown"), [("a\u3000b\u2007c\u205fd", "a b c d"), ("a\u2010b\u2212c", "a-b-c")]
)
def test_spaces_and_hyphens_that_no_font_has_are_plain(text: str, shown: str) -> None:
    repertoire = Repertoire(load_fonts().body[:1], "B")
    known = {character for character in text if repertoire.base.face.has(character)}
    expected = "".join(
        own if own in known else plain for own, plain in zip(text, shown, strict=True)
    )
    assert text.translate(repertoire) == expected
    assert expected != text


def test_open_sans_comes_first_and_the_fonts_of_the_settings_before_those_for_the_rest(
    tmp_path: Path,
) -> None:
    stack = load_fonts([VERA, make_font(tmp_path / "han.ttf", "漢")])
    vera = "BitstreamVeraSans-Roman"
    names = [vera, vera, "NotoSans-Regular", "Inter-Regular"]
    assert [face.name for face in stack.body] == ["OpenSans-Regular", *names]
    assert [face.name for face in stack.heading] == ["OpenSans-SemiBold", *names]
    assert [face.has("漢") for face in stack.body] == [False, False, True, False, False]


def _without_table(tag: str) -> bytes:
    face = load_fonts([VERA]).body[1].parsed()
    maker = TTFontMaker()
    for name in face.table.keys() - {tag}:
        maker.add(name, face.get_table(name))
    return bytes(maker.makeStream())


NOT_FONTS = {
    "empty": b"",
    "text": b"This is no font.",
    "a PDF": b"%PDF-1.7\n" * 99,
    "PostScript outlines": b"OTTO" + VERA.read_bytes()[4:],
    "a collection of nothing": b"ttcf\0\1\0\0\0\0\0\0" + bytes(99),
    "no outlines": _without_table("glyf"),
    "no index of outlines": _without_table("loca"),
    "no characters": _without_table("cmap"),
    "no names": _without_table("name"),
    **{f"cut at {size}": VERA.read_bytes()[:size] for size in (3, 12, 200, 5_000, 40_000)},
}


@pytest.mark.parametrize("content", NOT_FONTS.values(), ids=NOT_FONTS.keys())
def test_what_is_no_usable_font_is_refused_by_its_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "corporate.ttf"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"corporate\.ttf: not a TrueType font"):
        load_fonts([VERA, path])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.ttf"):
        load_fonts([tmp_path / "gone.ttf"])
