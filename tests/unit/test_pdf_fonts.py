"""Which files are fonts that a PDF can embed."""

from pathlib import Path

import pytest
from reportlab.pdfbase.ttfonts import TTFontMaker

from consumer.formats.pdf import load_fonts
from tests.support.pdf import VERA, make_font


def test_the_bundled_font_comes_first(tmp_path: Path) -> None:
    stack = load_fonts([VERA, make_font(tmp_path / "han.ttf", "漢")])
    names = ["BitstreamVeraSans-Roman", "BitstreamVeraSans-Roman"]
    assert [face.name for face in stack.body] == ["OpenSans-Regular", *names]
    assert [face.name for face in stack.heading] == ["OpenSans-SemiBold", *names]
    assert [face.has("漢") for face in stack.body] == [False, False, True]


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
