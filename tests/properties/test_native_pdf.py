"""A PDF is the same, byte for byte, drawn natively or not."""

import unicodedata
from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.rows import DataSet
from consumer.core.batch_sequence import BatchSequence
from consumer.formats.native import Native
from consumer.formats.pdf import FontStack, PdfWriter, load_fonts
from consumer.formats.pdf.native_records import NativePdf
from consumer.formats.pdf.repertoire import _stands_alone
from consumer.formats.pdf.scripts import script_of
from schemas.records import Batch, Cell, decode_batch, encode_batch
from schemas.requests import ExportRequested
from tests.properties.test_pdf import HAN, anything
from tests.support.pdf import FONTS, make_font, new_writer, pdf_request
from tests.support.strategies import cells

FIGURES = st.text("0123456789-+($€ .,:/eE%xZ\u0660\u2009\n", max_size=46) | st.text(
    "12-+(€$ AUSk.\u202f\n", max_size=9
)
PARTS = [
    *("1", "234", ".50", "T", "Z", "TRY", "TL", "EUR", "kr", "Rs", "zł", "\u0440\u0443\u0431"),
    *(" ", ".", *"()-+€"),
]
MONEY = st.lists(st.sampled_from(PARTS), max_size=8).map("".join)
DECIMALS = st.from_regex(r"[-+]?[0-9]{1,20}(\.[0-9]{1,9})?", fullmatch=True)
WORDS = st.lists(st.sampled_from(["a", "-", "/", " ", "  ", "\n", "word", "漢字", "İ", "…", "🎉"]))
MARKED = st.sampled_from(["e\u0301", "ق", "שלום", "\u1161", "\ufeffx", "a\u200db", "\x00", "\t"])
texts = anything | FIGURES | MONEY | WORDS.map("".join) | MARKED
usual = st.sampled_from(
    ["Muğla", "Ελλάδα", "2026-11-21", "1234.50", "a(b)c\\", None, True, 7, 0.5, "漢字", "日本 x"]
)
typed = {"integer": st.integers(-(10**9), 10**20), "string": texts, "decimal": DECIMALS}


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> FontStack:
    """Open Sans, then a font for some ideographs."""
    return load_fonts([make_font(tmp_path_factory.mktemp("fonts") / "han.ttf", HAN)])


class Made(NamedTuple):
    content: bytes
    pages: int
    replaced: int
    truncated: int


def _finished(writer: PdfWriter, pieces: list[bytes]) -> Made:
    content = b"".join([*pieces, *writer.finish()])
    return Made(content, writer.pages, writer.replaced_characters, writer.truncated_cells)


def by_python(request: ExportRequested, batches: Sequence[bytes], fonts: FontStack) -> Made:
    writer = new_writer(request, fonts)
    sequence = BatchSequence([column.key for column in request.columns])
    pieces: list[bytes] = []
    for value in batches:
        batch = decode_batch(value)
        pieces.extend(map(writer.append, sequence.pieces(batch)))
    return _finished(writer, pieces)


def by_native(
    native: Native, request: ExportRequested, batches: Sequence[bytes], fonts: FontStack
) -> tuple[Made, int]:
    """And how many of the batches were read natively."""
    writer = new_writer(request, fonts)
    encoder = NativePdf(native, request)
    sequence = BatchSequence([column.key for column in request.columns])
    pieces: list[bytes] = []
    read = 0
    for value in batches:
        batch = encoder.encode(value, writer, 0)
        if batch and batch.encoded:
            assert len(decode_batch(value).rows) == batch.row_count
            pieces.append(encoder.adopt(writer, batch.encoded))
            read += 1
        else:
            pieces.extend(map(writer.append, sequence.pieces(decode_batch(value))))
    return _finished(writer, pieces), read


def values_of(rows: Sequence[Any], cuts: Sequence[int]) -> list[bytes]:
    places = [0, *sorted(cuts), len(rows)]
    return [
        encode_batch(Batch("ord-2026-11", number, [*rows[start:end]]))
        for number, (start, end) in enumerate(pairwise(places))
    ]


@st.composite
def exports(draw: st.DrawFn) -> tuple[ExportRequested, list[bytes]]:
    """Options, rows of either shape and any cuts.

    A few rows come again and again, so that layouts settle and pages are drawn natively; odd ones
    are among them once.
    """
    count = draw(st.integers(1, 9))
    keys = [f"k{number}" for number in range(count)]
    kinds = [draw(st.sampled_from([None, None, *typed])) for _ in keys]
    columns = [
        {
            "key": key,
            "type": kind,
            "align": draw(st.sampled_from([None, "left", "right", "center"])),
            "width": draw(st.sampled_from([None, None, 20, 90])),
        }
        for key, kind in zip(keys, kinds, strict=True)
    ]
    options = {
        "overflow": draw(st.sampled_from(["cut", "wrap"])),
        "orientation": draw(st.sampled_from(["auto", "portrait", "landscape"])),
        "page_size": draw(st.sampled_from(["A4", "A5"])),
        "records_per_page": draw(st.integers(1, 7)),
        "footer": draw(st.sampled_from(["", "short", "a footer of words " * 15])),
    }
    options = {name: option for name, option in options.items() if option}
    kept = [{name: value for name, value in column.items() if value} for column in columns]
    request = pdf_request(kept, title=draw(st.sampled_from(["t", "Ā ş 漢"])), **options)
    cell = [typed[kind] if kind else usual | FIGURES | WORDS.map("".join) for kind in kinds]
    odd_cell = [typed[kind] if kind else texts | cells for kind in kinds]
    rows: list[list[Cell]] = draw(st.lists(st.tuples(*cell).map(list), min_size=1, max_size=5))
    shaped = (rows * 80)[: draw(st.integers(1, 80))]
    for place in draw(st.lists(st.integers(0, 80), max_size=3)):
        shaped.insert(place, [*draw(st.tuples(*odd_cell))])
    as_objects = [
        dict(zip(keys, row, strict=True)) if draw(st.booleans()) else row for row in shaped
    ]
    cuts = draw(st.lists(st.integers(0, len(shaped)), max_size=4))
    return request, values_of(as_objects, cuts)


@given(export=exports())
def test_any_export_has_pythons_bytes(
    native: Native, fonts: FontStack, export: tuple[ExportRequested, list[bytes]]
) -> None:
    request, values = export
    made, _ = by_native(native, request, values, fonts)
    assert made == by_python(request, values, fonts)


_CITIES = pytest.param(DataSet.CITIES, marks=pytest.mark.slow)  # they are shaped


@pytest.mark.parametrize("overflow", ["cut", "wrap"])
@pytest.mark.parametrize("data_set", [DataSet.ORDERS, _CITIES, DataSet.HAN])
def test_usual_rows_are_drawn_natively(
    native: Native, fonts: FontStack, data_set: DataSet, overflow: str
) -> None:
    """But for the first pages, and those that need a decision."""
    request = pdf_request(data_set.columns, records_per_page=20, overflow=overflow)
    count = 150 if data_set is DataSet.CITIES else 600  # shaping costs what it does
    rows = [*data_set.rows(count)]
    values = values_of(rows, [40, 100, 101, 130])
    made, read = by_native(native, request, values, fonts)
    assert read == len(values)
    assert made == by_python(request, values, fonts)


@pytest.mark.parametrize("overflow", ["cut", "wrap"])
@pytest.mark.parametrize("text", ["é" * 128, " ".join(["Ж" * 16] * 8), "(" * 256, "é(" * 256])
def test_long_texts_of_letters_that_are_not_their_own_codes(
    native: Native, text: str, overflow: str
) -> None:
    """Their number is such that a sum of 32 bits begins again at 0."""
    request = pdf_request(["n", "text"], records_per_page=5, overflow=overflow)
    values = values_of([[n, text] for n in range(20)], [])
    made, read = by_native(native, request, values, FONTS)
    assert read == len(values)
    assert made == by_python(request, values, FONTS)


def test_pages_need_few_decisions(native: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    adding = PdfWriter._adding  # there is no seam, as nothing but this costs

    def counted(
        writer: PdfWriter, rows: Sequence[Sequence[Cell]], *, last: bool
    ) -> Generator[None, None, int]:
        drawn.append(len(rows))
        return adding(writer, rows, last=last)

    monkeypatch.setattr(PdfWriter, "_adding", counted)
    request = pdf_request(DataSet.ORDERS.columns, records_per_page=50)
    made, _ = by_native(native, request, values_of([*DataSet.ORDERS.rows(5_000)], [2_000]), FONTS)
    assert made.pages == 100
    assert sum(drawn) <= 600


def test_what_is_handed_over_is_never_composed_with_a_neighbour() -> None:
    """What composes with what is before it, though no mark, is shaped or Jamo."""
    seconds = {
        decomposed[1]
        for decomposed in (unicodedata.normalize("NFD", chr(code)) for code in range(0x110000))
        if len(decomposed) > 1
    }
    firsts_too = {*seconds} | {
        part for code in range(0x110000) for part in unicodedata.normalize("NFD", chr(code))[1:]
    }
    assert firsts_too
    assert not [char for char in firsts_too if _stands_alone(char) and not script_of(char)]
