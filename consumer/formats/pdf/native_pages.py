"""Pages drawn by the encoders in Rust (``native/src/pdf``) wherever nothing is to be decided.

Python lays out the first page and assigns codes to characters; what it decided is handed over, and
further rows become pages natively until one needs a decision again. Invariant: a page comes out the
same, drawn natively or not.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from consumer.formats.pdf.document import PAGE_LEVEL
from consumer.formats.pdf.frame import Frame
from consumer.formats.pdf.plan import ColumnPlan
from consumer.formats.pdf.repertoire import Glyph
from consumer.formats.pdf.table import PageTable
from consumer.formats.pdf.text import Typesetter
from consumer.formats.pdf.whole import always_whole


class NativeRows(Protocol):
    """Rows of a record in column order, read natively."""

    characters: int
    """Of texts, as far as they are shown."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice) -> "NativeRows": ...


class Drawn(NamedTuple):
    """Pages' contents, compressed; characters that no font has; cells that aren't shown whole.

    ``is_undecided``: the next rows need a decision.
    """

    contents: Sequence[bytes]
    replaced: int
    truncated: int
    is_undecided: bool


class _Pages(Protocol):
    """``PdfPages`` of ``native/src/pdf/binding.rs``."""

    waiting: int

    def add_glyphs(self, glyphs: Sequence[Glyph], composites: Sequence[bytes]) -> None: ...
    def lay_out(
        self,
        columns: Sequence[tuple[object, ...]],
        heights: tuple[float, ...],
        **parts: Any,  # noqa: ANN401
    ) -> None: ...
    def add(self, rows: NativeRows) -> None: ...
    def add_texts(self, rows: Sequence[Sequence[str]]) -> None: ...
    def draw(self, number: int) -> tuple[Sequence[bytes], int, int, bool]: ...
    def texts(self, count: int) -> list[list[str]]: ...
    def pass_over(self, rows: int) -> None: ...


class _Records(Protocol):
    """``PdfRecords`` of the same."""

    def read(self, value: bytes) -> tuple[str, int, bool, int | None, NativeRows] | None: ...


class NativePdfModule(Protocol):
    """What PDFs need of the module ``sluice_native``."""

    def PdfRecords(  # noqa: N802 - it is a class
        self, keys: list[str], types: list[str | None], most_text: int
    ) -> _Records:
        """Reads records; of a cell so many characters are kept."""

    def PdfPages(  # noqa: N802 - it is a class
        self, width: int, most_text: int, block: int, level: int
    ) -> _Pages:
        """Draws pages, ``block`` rows at a time, compressed at a level."""


class NativePages:
    """The rows of one export that wait for their page. ``block`` of them are set at a time."""

    def __init__(self, native: NativePdfModule, columns: int, body: Typesetter, block: int) -> None:
        self._pages = native.PdfPages(columns, body.most_text, block, PAGE_LEVEL)
        self._body = body
        self._block = block
        self._known = 0
        self._plan: ColumnPlan | None = None

    @property
    def has_block(self) -> bool:
        """Whether rows are enough to be set."""
        return self._pages.waiting >= self._block

    def add(self, rows: NativeRows) -> None:
        """Take rows."""
        self._pages.add(rows)

    def add_texts(self, rows: Sequence[Sequence[str]]) -> None:
        """Take rows that Python has read."""
        self._pages.add_texts(rows)

    def draw(self, number: int) -> Drawn:
        """Pages of waiting rows, the first of which has a number."""
        return Drawn(*self._pages.draw(number))

    def block_texts(self) -> list[list[str]]:
        """The rows that are set next."""
        return self._pages.texts(self._block)

    def last_texts(self) -> list[list[str]]:
        """All rows that wait; none does afterwards."""
        texts = self._pages.texts(self._pages.waiting)
        self._pages.pass_over(len(texts))
        return texts

    def pass_over(self, rows: int) -> None:
        """Python has drawn some."""
        self._pages.pass_over(rows)

    def hand_over(self, table: PageTable, frame: Frame) -> None:
        """What was decided since the last time."""
        if self._known < self._body.known:
            self._pages.add_glyphs(*self._body.glyphs(self._known))
            self._known = self._body.known
        if table.plan is not self._plan:
            self._plan = table.plan
            self._lay_out(table, frame)

    def _lay_out(self, table: PageTable, frame: Frame) -> None:
        rows, sheet = table.plan.rows, table.plan.sheet
        parts, around = table.parts(), frame.parts()
        before, after = parts.moves[0].split(b"%b")
        self._pages.lay_out(
            [
                (place.room, place.align, always_whole(place.type), need.whole, need.text)
                for place, need in parts.columns
            ],
            (rows.top, rows.room, rows.height, rows.line, rows.most_lines),
            wraps=sheet.wraps,
            records=sheet.records_per_page,
            top=b"%b\n%b\n" % (around.top, parts.before_bands),
            after_bands=parts.before_rows,
            bottom=(around.before_number, around.after_number, around.after_end),
            band=parts.band,
            drop=parts.drop,
            first=(before, after),
            others=[move % b"0" for move in parts.moves[1:]],
            size=parts.size,
            base_font=self._body.base_font,
            margin=around.margin,
            footer_size=around.size,
        )
