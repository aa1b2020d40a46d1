"""What every format does: rows in, bytes out.

No I/O here and in no format. Invariant: the same request and rows give the same bytes, in however
many pieces the rows come.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from schemas.records import Batch, Cell, EncodedRows
from schemas.requests import ExportRequested


class FormatWriter(Protocol):
    """Encodes one export. Not thread-safe; one thread at a time calls it.

    Memory does not grow with the number of rows.
    """

    @property
    def pages(self) -> int | None:
        """Pages so far, or None where the format has none."""

    @property
    def replaced_characters(self) -> int | None:
        """Characters that no font had so far, or None where it can't happen."""

    @property
    def truncated_cells(self) -> int | None:
        """Cells that are not shown whole so far, or None where all are."""

    @property
    def is_behind(self) -> bool:
        """Whether rows were taken that take long to encode: ``append`` none, until it isn't."""

    def append(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """Encode rows; each has exactly one cell per column, in column order.

        Returns the bytes that are ready to be written; there may be none.

        Raises:
            ExportFailure: a cell can't be written; the export must end.
        """

    def finish(self) -> Iterator[bytes]:
        """The last bytes of the file, in pieces. Call it once, after the last ``append``.

        Raises:
            ExportFailure: as ``append``, while it is read.
        """


class WholeCells:
    """A ``FormatWriter`` that has no pages, and encodes every cell and character whole, at once."""

    is_behind: bool = False
    pages: int | None = None
    replaced_characters: int | None = None
    truncated_cells: int | None = None


class BatchEncoder(Protocol):
    """Encodes batches of one export from their records' bytes, without Python's objects.

    It holds nothing that changes, so any thread may use it.
    """

    def encode(self, value: bytes, writer: FormatWriter | None, most_bytes: int) -> Batch | None:
        """The batch with ``EncodedRows``: bytes that follow what ``writer`` has written.

        ``writer`` is None where the file is not begun. Returns None where Python is to decode the
        record and to encode its rows: wherever that may fail, or makes more than ``most_bytes``.
        """

    def adopt(self, writer: FormatWriter, rows: EncodedRows) -> bytes:
        """The bytes of such rows; ``writer`` goes on after them."""


class Encoders(Protocol):
    """Which encoders a node has, beside its formats' writers."""

    name: str

    def encoder(self, request: ExportRequested) -> BatchEncoder:
        """The encoder of an export's batches."""
